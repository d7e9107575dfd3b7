"""The README shows what the included model answers."""

import re
from pathlib import Path

import pytest

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r'^\{"label":"(\w+)","confidence":([\d.]+),.*"reason":"confident"', re.MULTILINE)


async def test_the_answer_in_the_readme_is_that_of_the_model() -> None:
    found = EXAMPLE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found
    audio = AudioInput(data=(ROOT / "fixtures/calls/01-human-hello/recording.wav").read_bytes(), one_sided=True)
    async with Detector.from_settings(Settings(_env_file=None, model="demo"), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        verdict = await detector.judge(audio, priority=Priority.INTERACTIVE)
    assert str(verdict.label) == found[1]
    assert verdict.confidence == pytest.approx(float(found[2]), abs=0.005)
