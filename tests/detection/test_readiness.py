"""A model serves unless the golden clips contradict its label order."""

import asyncio
import errno
import threading
from pathlib import Path

import numpy as np
import pytest

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.classifier.state import Phase
from amd_service.detection.label_check import GoldenClips
from amd_service.domain import Label
from amd_service.errors import ClassifierUnavailable, ModelUnusable
from tests.support.detectors import NO_CLIPS, lay_out_clips, ready, speech, started
from tests.support.models import RATE_HZ, StubEngine
from tests.support.signals import Array, file_of, silence
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ASSUMED = LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.ASSUMED)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Golden clips (recordings with known labels). The stub engine distinguishes them by length: humans are short."""
    return lay_out_clips(
        tmp_path,
        [(Label.HUMAN, speech(1.5)) for _ in range(5)] + [(Label.VOICEMAIL, speech(4.0)) for _ in range(5)],
    )


def golden(folder: Path, *, enforce: bool = True) -> GoldenClips:
    return GoldenClips(folder, own=True, enforce=enforce)


def scores_correctly(clip: np.ndarray) -> tuple[float, float]:
    return (4.0, 0.0) if len(clip) < 2 * RATE_HZ else (0.0, 4.0)


def scores_the_opposite(clip: np.ndarray) -> tuple[float, float]:
    human, voicemail = scores_correctly(clip)
    return voicemail, human


async def test_correct_clips_prove_the_order_and_every_verdict_records_it(clips: Path) -> None:
    async with ready(StubEngine(scores_correctly), golden=golden(clips)) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "proven"
        verdict = await detector.judge(
            AudioInput(data=file_of(speech(3.0)), one_sided=True), priority=Priority.INTERACTIVE
        )
        assert verdict.runs[0].model == detector.identity
        assert detector.report()["phase"] == "ready"


async def test_swapped_labels_keep_the_classifier_not_ready_and_name_the_cure(clips: Path) -> None:
    async with started(StubEngine(scores_the_opposite), golden=golden(clips)) as detector:
        with pytest.raises(ModelUnusable, match="AMD_LABELS=voicemail,human"):
            await detector.wait_ready_or_raise()
        assert detector.state.phase is Phase.FAILED
        assert "AMD_LABELS=voicemail,human" in str(detector.report()["reason"])
        with pytest.raises(ClassifierUnavailable, match="AMD_LABELS=voicemail,human"):
            await detector.judge(AudioInput(data=file_of(speech(3.0)), one_sided=True), priority=Priority.RECORDING)


async def test_the_named_setting_makes_the_model_serve(clips: Path) -> None:
    order = LabelOrder((Label.VOICEMAIL, Label.HUMAN), LabelSource.SETTINGS)
    async with ready(StubEngine(scores_the_opposite), golden=golden(clips), labels=order) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "proven"


async def test_a_contradiction_only_warns_without_enforcement(clips: Path) -> None:
    async with ready(StubEngine(scores_the_opposite), golden=golden(clips, enforce=False)) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "contradicted"


async def test_a_model_without_label_names_serves_when_proven(clips: Path) -> None:
    async with ready(StubEngine(scores_correctly), golden=golden(clips), labels=ASSUMED) as detector:
        assert detector.is_ready


async def test_a_model_without_label_names_does_not_serve_unproven() -> None:
    async with started(StubEngine(), golden=NO_CLIPS, labels=ASSUMED) as detector:
        with pytest.raises(ModelUnusable, match="AMD_LABELS=human,voicemail or AMD_LABELS=voicemail,human"):
            await detector.wait_ready_or_raise()


async def test_clips_that_cannot_be_scored_are_inconclusive(tmp_path: Path) -> None:
    silent: list[tuple[Label, Array]] = [(label, silence(2.0)) for label in (Label.HUMAN, Label.VOICEMAIL)] * 5
    lay_out_clips(tmp_path, silent)
    (tmp_path / "human" / "broken.wav").write_bytes(b"<html>")
    async with ready(StubEngine(), golden=golden(tmp_path)) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "inconclusive"


@pytest.mark.parametrize("enforce", [True, False])
async def test_too_few_clips_of_the_user_keep_the_classifier_not_ready(clips: Path, *, enforce: bool) -> None:
    (clips / "voicemail" / "9.wav").unlink()
    async with started(StubEngine(scores_correctly), golden=golden(clips, enforce=enforce)) as detector:
        counts = "has 5 recordings under human/ and 4 recordings under voicemail/; at least 5"
        with pytest.raises(ModelUnusable, match=rf"AMD_GOLDEN_DIR=.* {counts}"):
            await detector.wait_ready_or_raise()
        assert detector.state.phase is Phase.FAILED


async def test_clips_with_two_channels_are_skipped(clips: Path) -> None:
    for path in (clips / "human").iterdir():
        path.write_bytes(file_of(np.stack([speech(1.5), speech(1.5)], axis=1)))
    engine = StubEngine(scores_correctly)
    async with started(engine, golden=golden(clips)) as detector:
        await detector.wait_ready_or_raise()
        assert detector.identity is not None
        assert detector.identity.proof == "inconclusive"
    assert len(engine.calls) == 2 + 5  # the warm-up and the voicemails


async def test_one_engine_error_on_a_clip_does_not_stop_the_check(clips: Path) -> None:
    errors: list[None] = []

    def fails_once(clip: np.ndarray) -> tuple[float, float]:
        if len(clip) == 1.5 * RATE_HZ and not errors:
            errors.append(None)
            raise RuntimeError("out of memory")
        return scores_correctly(clip)

    async with ready(StubEngine(fails_once), golden=golden(clips)) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "proven"  # four of five
    assert errors


async def test_an_engine_that_fails_on_every_clip_never_serves(clips: Path) -> None:
    def fails_on_clips(clip: np.ndarray) -> tuple[float, float]:
        if len(clip) == 1.5 * RATE_HZ:
            raise RuntimeError("the device is lost")
        return scores_correctly(clip)  # the warm-up

    async with started(StubEngine(fails_on_clips), golden=golden(clips)) as detector:
        with pytest.raises(ModelUnusable, match=r"crashed 5 times in a row.*the device is lost"):
            await detector.wait_ready_or_raise()


async def test_the_phase_is_proving_while_clips_are_scored(clips: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def waits_on_clips(clip: np.ndarray) -> tuple[float, float]:
        if len(clip) == 1.5 * RATE_HZ:
            reached.set()
            go_on.wait(20)
        return scores_correctly(clip)

    async with started(StubEngine(waits_on_clips), golden=golden(clips)) as detector:
        await asyncio.to_thread(reached.wait, 20)
        state = detector.state
        go_on.set()
        await detector.wait_ready()
    assert state.phase is Phase.PROVING


async def test_a_crash_on_a_clip_restarts_the_check(clips: Path) -> None:
    crashes: list[None] = []

    def crashes_once(clip: np.ndarray) -> tuple[float, float]:
        if len(clip) == 1.5 * RATE_HZ and not crashes:
            crashes.append(None)
            raise SystemExit("killed")
        return scores_correctly(clip)

    async with ready(StubEngine(crashes_once), golden=golden(clips)) as detector:
        assert detector.identity is not None
        assert detector.identity.proof == "proven"
    assert crashes


async def test_a_model_that_cannot_be_loaded_scores_no_clips(tmp_path: Path) -> None:
    async with started(StubEngine(lambda _: (float("nan"), 0.0)), golden=golden(tmp_path)) as detector:
        with pytest.raises(ModelUnusable, match="damaged"):
            await detector.wait_ready_or_raise()
        assert detector.report()["model"] is None


async def test_a_temporary_error_while_reading_the_clips_is_retried(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([OSError(errno.EMFILE, "Too many open files", "0.wav")])
    read_bytes = Path.read_bytes

    def fail_once(path: Path) -> bytes:
        if (error := next(errors, None)) is not None:
            raise error
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", fail_once)
    async with started(StubEngine(scores_correctly), golden=golden(clips)) as detector:
        await until(lambda: "Too many open files: '0.wav'" in detector.state.reason)
        assert detector.state.phase is Phase.PROVING
        await detector.wait_ready_or_raise()
        assert detector.identity is not None
        assert detector.identity.proof == "proven"
