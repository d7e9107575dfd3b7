"""Cuts windows for the engine check and for calibration, from the user's recordings or the shipped recordings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.model import RATE_HZ
from amd_service.detection.decision import Policy
from amd_service.domain import Anchor, LongWindowRule, Waveform
from amd_service.errors import ConfigurationError, Undecodable
from amd_service.lab.augmentation.line import compand

Samples = NDArray[np.float32]

_PACKAGE = Path(__file__).parents[2]
FIXTURES = _PACKAGE.parent / "fixtures" / "calls"
GOLDEN = _PACKAGE / "models" / "golden"

_ONSET_SEARCH_S = 15.0
_MIN_MS = 1000


@dataclass(frozen=True, eq=False)
class SpeechRecordings:
    """Recordings with speech. `origin`: description of their source, for the engine check."""

    waveforms: Sequence[tuple[Waveform, int]]  # each with the onset of its speech in ms
    origin: str


@dataclass(frozen=True, eq=False)
class WindowSets:
    """Two disjoint sets of windows, float32 at 16 kHz. With eight or more recordings, the sets share no recording."""

    check: list[Samples]
    calibration: list[Samples]
    origin: str


def draw_windows(policy: Policy, folder: Path | None, check: int, calibration: int, *, seed: int = 0) -> WindowSets:
    """Cut windows as the service does: most are as long as the first window, some are longer, some last one second.

    Each recording gives one unchanged window. All other windows vary at random (by `seed`) in start, level, noise, band
    and codec. Raises ConfigurationError if the folder has no recording with speech.
    """
    recordings = read_recordings(folder)
    found = recordings.waveforms
    # Do not calibrate with the recordings of the check: the measured deviation would be too small.
    halves = (found[::2], found[1::2]) if len(found) >= 8 else (found, found)
    take = partial(_cut_windows, policy=policy)
    return WindowSets(
        check=list(take(halves[0], count=check, seed=seed)),
        calibration=list(take(halves[1], count=calibration, seed=seed + 1)),
        origin=recordings.origin,
    )


def read_recordings(folder: Path | None) -> SpeechRecordings:
    """Load every readable recording with speech below a folder.

    The default folders are the fixture calls and the golden clips (recordings with known labels). Raises
    ConfigurationError if the folders contain no such recording.
    """
    folders = [folder] if folder is not None else [each for each in (FIXTURES, GOLDEN) if each.is_dir()]
    paths = [path for each in folders for path in sorted(each.rglob("*")) if path.suffix.lower() in CONTENT_TYPES]
    waveforms = [heard for path in paths if (heard := _read_called_party(path)) is not None]
    if not waveforms:
        where = folder or "the fixtures"
        raise ConfigurationError(
            f"no recording with speech ({', '.join(CONTENT_TYPES)}) in {where}: set --windows to a folder of real calls"
        )
    # Use folder names without paths: the engine check must not contain a user's paths or depend on the machine.
    origin = f"{len(waveforms)} recordings of {' and '.join(each.name for each in folders)}"
    return SpeechRecordings(waveforms, origin)


def _read_called_party(path: Path) -> tuple[Waveform, int] | None:
    """Return the called party's audio and its onset in ms. Of two channels, the second contains the called party."""
    try:
        tracks = decode(path.read_bytes(), content_type=CONTENT_TYPES[path.suffix.lower()], max_s=2 * _ONSET_SEARCH_S)
    except Undecodable:
        return None
    waveform = called_party(tracks, channel=min(2, len(tracks.samples)), one_sided=True).waveform
    if waveform.duration_ms < _MIN_MS:
        return None
    onset_ms = speech_onset_ms(waveform)
    return None if onset_ms is None else (waveform, onset_ms)


def _cut_windows(
    recordings: Sequence[tuple[Waveform, int]], *, count: int, seed: int, policy: Policy
) -> Iterator[Samples]:
    rng = np.random.default_rng(seed)
    lengths = [policy.window_ms] * 7 + [policy.long_window_ms] * 2 + [_MIN_MS]
    if policy.long_window is LongWindowRule.ALWAYS:
        lengths = [policy.window_ms, policy.long_window_ms] * 4 + [policy.long_window_ms, _MIN_MS]
    made = attempts = 0
    while made < count:
        waveform, onset_ms = recordings[attempts % len(recordings)]
        is_original = attempts < len(recordings)
        attempts += 1
        if not is_original:
            onset_ms = max(0, onset_ms + int(rng.integers(-150, 400)))
        length_ms = lengths[made % len(lengths)]
        window = cut(waveform, onset_ms=onset_ms, anchor=policy.anchor, length_ms=length_ms)
        if window.duration_ms < _MIN_MS:
            window = cut(waveform, onset_ms=None, anchor=Anchor.ANSWER, length_ms=length_ms)
        made += 1
        yield window.samples if is_original else vary(window.samples, rng)


def vary(samples: Samples, rng: np.random.Generator) -> Samples:
    """Simulate another connection for the same speech: random band, noise, level, lost packets and μ-law."""
    varied = samples
    if rng.random() < 0.5:
        frequency = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
        kept = (frequency > rng.uniform(100, 400)) & (frequency < rng.uniform(2800, 3800))
        varied = np.fft.irfft(np.fft.rfft(samples) * kept, len(samples)).astype(np.float32)
    loudness = float(np.sqrt(np.mean(varied**2)))
    noise = rng.normal(0, 1, len(varied)) * loudness * 10 ** (-rng.uniform(5, 40) / 20)
    varied = ((varied + noise) * 10 ** (rng.uniform(-14, 8) / 20)).astype(np.float32)
    if rng.random() < 0.2:
        frames = varied[: len(varied) // 320 * 320].reshape(-1, 320)
        frames[rng.random(len(frames)) < 0.02] = 0
    heard = np.clip(varied, -1, 1).astype(np.float32)
    return compand(heard) if rng.random() < 0.5 else heard
