"""Changes of the telephone line must not reverse a verdict: each verdict stays or becomes undecided."""

import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Label, Verdict
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"
JUDGED = [
    folder
    for folder in sorted(CALLS.iterdir())
    if json.loads((folder / "expected.json").read_text(encoding="utf-8")).get("label") in ("human", "voicemail")
]

# This recording breaks off after three seconds of a greeting. Silence after it is no change of the line: the speaker of
# such a call stops and waits, as people do.
BREAKS_OFF = "19-truncated"

Samples = NDArray[np.float32]  # (channels, frames)


def telephone_again(samples: Samples, rate_hz: int) -> Samples:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate_hz, format="WAV", subtype="ULAW")
    again: Samples = decode(buffer.getvalue()).samples
    return again


def silence_before(seconds: float) -> Callable[[Samples, int], Samples]:
    def change(samples: Samples, rate_hz: int) -> Samples:
        padded: Samples = np.pad(samples, ((0, 0), (round(seconds * rate_hz), 0)))
        return padded

    return change


def gain(decibels: float) -> Callable[[Samples, int], Samples]:
    def change(samples: Samples, _rate_hz: int) -> Samples:
        louder: Samples = np.clip(samples * np.float32(10 ** (decibels / 20)), -1, 1)
        return louder

    return change


def tail(samples: Samples, rate_hz: int) -> Samples:
    """Append ten seconds of line noise."""
    hiss = np.random.default_rng(1).normal(0, 1e-4, (len(samples), 10 * rate_hz))
    return np.concatenate([samples, hiss.astype(np.float32)], axis=1)


def lost_frames(samples: Samples, rate_hz: int) -> Samples:
    """Replace 1 % of the 20 ms frames by silence, as for lost packets."""
    frame = rate_hz // 50
    count = samples.shape[1] // frame
    lost = np.random.default_rng(2).choice(count, size=max(1, count // 100), replace=False)
    changed = samples.copy()
    for number in lost:
        changed[:, number * frame : (number + 1) * frame] = 0
    return changed


CHANGES: dict[str, Callable[[Samples, int], Samples]] = {
    "telephone again": telephone_again,
    **{f"{seconds} s of silence before": silence_before(seconds) for seconds in (0.3, 1, 2.5, 7)},
    "12 dB louder": gain(12),
    "12 dB quieter": gain(-12),
    "a longer tail": tail,
    "lost frames": lost_frames,
}


@pytest.fixture(scope="module")
async def detector(anyio_backend: str) -> AsyncIterator[Detector]:
    settings = Settings(_env_file=None, model="demo")
    async with Detector.from_settings(settings, Metrics()) as detector:
        await detector.wait_ready_or_raise()
        yield detector


async def judge(detector: Detector, samples: Samples, rate_hz: int, *, channel: int | None) -> Verdict:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate_hz, format="WAV", subtype="PCM_16")
    return await detector.judge(
        AudioInput(data=buffer.getvalue(), channel=channel, one_sided=True), priority=Priority.RECORDING
    )


def load(folder: Path) -> tuple[Samples, int, int | None, Label]:
    """Samples, rate, the called party's channel, and the expected label."""
    (recording,) = folder.glob("recording.*")
    content_type = "audio/x-mulaw;rate=8000" if recording.suffix == ".ulaw" else None
    tracks = decode(recording.read_bytes(), content_type=content_type)
    channel = None
    if len(tracks.samples) == 2:
        channel = 2 if "DialVerb" in (folder / "callbacks.jsonl").read_text(encoding="utf-8") else 1
    label = Label(json.loads((folder / "expected.json").read_text(encoding="utf-8"))["label"])
    return tracks.samples, tracks.rate_hz, channel, label


@pytest.mark.parametrize("folder", JUDGED, ids=lambda folder: folder.name)
async def test_a_change_of_the_line_never_reverses_the_verdict(detector: Detector, folder: Path) -> None:
    samples, rate_hz, channel, label = load(folder)
    verdicts = {
        name: await judge(detector, change(samples, rate_hz), rate_hz, channel=channel)
        for name, change in CHANGES.items()
        if (folder.name, change) != (BREAKS_OFF, tail)
    }
    reversed_ = {name: verdict for name, verdict in verdicts.items() if verdict.label not in (label, Label.UNDECIDED)}
    assert reversed_ == {}


@pytest.mark.slow
@pytest.mark.soak
async def test_most_changes_of_the_line_keep_the_verdict(detector: Detector) -> None:
    """A detector that is always undecided would pass the test above."""
    held = []
    for folder in JUDGED[::2]:
        samples, rate_hz, channel, label = load(folder)
        for change in CHANGES.values():
            verdict = await judge(detector, change(samples, rate_hz), rate_hz, channel=channel)
            held.append(verdict.label is label)
    assert sum(held) / len(held) > 0.8


@pytest.mark.parametrize(
    "folder", [folder for folder in JUDGED if "dual" in folder.name], ids=lambda folder: folder.name
)
async def test_swapping_the_channels_and_the_channel_number_changes_nothing(detector: Detector, folder: Path) -> None:
    samples, rate_hz, channel, _ = load(folder)
    assert channel is not None
    before = await judge(detector, samples, rate_hz, channel=channel)
    swapped = await judge(detector, samples[::-1], rate_hz, channel=3 - channel)
    assert (swapped.label, swapped.onset_ms) == (before.label, before.onset_ms)
    assert swapped.confidence == pytest.approx(before.confidence, abs=1e-6)


async def test_the_other_channel_gives_another_label(detector: Detector) -> None:
    """The recorded dual calls carry the other label on the other channel."""
    for folder in (folder for folder in JUDGED if "dual" in folder.name):
        samples, rate_hz, channel, label = load(folder)
        assert channel is not None
        other = await judge(detector, samples, rate_hz, channel=3 - channel)
        assert other.label is not label
