"""The doctor's check of the model."""

from pathlib import Path

import pytest

from amd_service.cli.doctor.check_result import Health
from amd_service.cli.doctor.model import check_model
from tests.support.app import make_settings
from tests.support.models import build_model

pytestmark = pytest.mark.anyio


async def test_the_check_names_the_windows_and_thresholds_in_force(tmp_path: Path) -> None:
    folder = build_model(tmp_path / "model")
    (folder / "windows.json").write_text('{"window_ms": 3000, "long_window_ms": 6000, "min_confidence_human": 0.81}')
    settings = make_settings(model=str(folder), golden="warn", min_confidence_voicemail=0.9, engine="torch")
    result = await check_model(settings)
    assert result.health is Health.OK
    assert result.text.endswith("windows of 3000 and 6000 ms (longer window: unsure), human needs 0.81, voicemail 0.9")
