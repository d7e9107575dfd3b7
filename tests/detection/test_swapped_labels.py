"""A copy of the shipped model with swapped labels must not serve."""

import json
import shutil
from pathlib import Path

import pytest

from amd_service.detection.classifier.hub import DEMO_FOLDER
from amd_service.detection.detector import Detector
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def swapped(tmp_path: Path) -> Path:
    folder = tmp_path / "swapped"
    shutil.copytree(DEMO_FOLDER, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {"0": "voicemail", "1": "human"}
    config["label2id"] = {"voicemail": 0, "human": 1}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


async def test_the_shipped_clips_prove_the_shipped_model() -> None:
    async with Detector.from_settings(Settings(_env_file=None, model="demo"), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        assert detector.identity is not None
        assert detector.identity.proof == "proven"


async def test_swapped_labels_keep_the_detector_not_ready_and_name_the_cure(swapped: Path) -> None:
    async with Detector.from_settings(Settings(_env_file=None, model=str(swapped)), Metrics()) as detector:
        with pytest.raises(ModelUnusable, match="AMD_LABELS=human,voicemail"):
            await detector.wait_ready_or_raise()
        assert not detector.is_ready


async def test_the_named_setting_makes_the_model_serve(swapped: Path) -> None:
    settings = Settings(_env_file=None, model=str(swapped), labels="human,voicemail")
    async with Detector.from_settings(settings, Metrics()) as detector:
        await detector.wait_ready_or_raise()
        assert detector.identity is not None
        assert detector.identity.proof == "proven"
