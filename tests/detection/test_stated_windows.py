"""Windows and thresholds that only a model folder states, before the model is loaded."""

import json
from pathlib import Path

import pytest

from amd_service.detection.stated_windows import find_policy
from amd_service.runtime.shadow import build_shadow_detector
from amd_service.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stated = {"window_ms": 5000, "long_window_ms": 8000, "min_confidence_human": 0.81}
    (tmp_path / "windows.json").write_text(json.dumps(stated))
    return tmp_path


def test_a_setting_overrides_what_the_model_states(folder: Path) -> None:
    policy = find_policy(Settings(_env_file=None, model=str(folder), min_confidence_voicemail=0.9, window_ms=3000))
    assert (policy.window_ms, policy.long_window_ms) == (3000, 8000)
    assert (policy.min_confidence_human, policy.min_confidence_voicemail) == (0.81, 0.9)


@pytest.mark.parametrize("model", ["owner/not-on-this-machine", "./nowhere"])
def test_a_model_that_is_not_here_states_nothing(model: str) -> None:
    policy = find_policy(Settings(_env_file=None, model=model))
    assert (policy.window_ms, policy.long_window_ms, policy.min_confidence_human) == (2000, 5000, 0.7)


def test_a_file_that_cannot_be_read_states_nothing(folder: Path) -> None:
    (folder / "windows.json").write_text("{")
    assert find_policy(Settings(_env_file=None, model=str(folder))).window_ms == 2000


def test_a_shadow_model_uses_its_own_windows(folder: Path) -> None:
    detector = build_shadow_detector(Settings(_env_file=None, model="demo"), str(folder))
    assert (detector.policy.window_ms, detector.policy.min_confidence_human) == (5000, 0.81)
