"""Windows to gate and calibrate with: a folder of the user's recordings, else those that ship, varied by a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.model import RATE_HZ
from amd_service.domain import Anchor, Waveform
from amd_service.errors import ConfigurationError, Undecodable
from amd_service.lab.dataset.telephone_effects import compand
from amd_service.settings import Settings

Samples = NDArray[np.float32]

_PACKAGE = Path(__file__).parents[2]
FIXTURES = _PACKAGE.parent / "fixtures" / "calls"
GOLDEN = _PACKAGE / "models" / "golden"

# File name endings whose bytes carry no header; the rate of telephony is understood.
_ENDINGS = {".wav": None, ".mp3": None, ".ulaw": "audio/x-mulaw;rate=8000", ".alaw": "audio/x-alaw;rate=8000"}
_SEARCH_S = 15.0
_LEAST_MS = 1000


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings with speech in them, and in words where they come from."""

    waveforms: Sequence[tuple[Waveform, int]]  # with the onset of speech in ms
    origin: str


@dataclass(frozen=True, eq=False)
class WindowSets:
    """Two sets of windows, float32 at 16 kHz, that share no window (and no recording, where there are enough)."""

    gate: list[Samples]
    calibration: list[Samples]
    origin: str


def draw_windows(settings: Settings, folder: Path | None, *, gate: int, calibration: int, seed: int = 0) -> WindowSets:
    """Windows as the service cuts them, most of the first window's length, some longer, some of one second.

    Each recording gives one window as it is; when all are used up the rest are varied: level, noise, band, codec,
    where it begins. Raises ConfigurationError when the folder holds no recording with speech.
    """
    recordings = read_recordings(folder)
    found = recordings.waveforms
    # Scales fitted on the very recordings of the gate would flatter the result.
    halves = (found[::2], found[1::2]) if len(found) >= 8 else (found, found)
    take = partial(_windows, settings=settings)
    return WindowSets(
        gate=list(take(halves[0], count=gate, seed=seed)),
        calibration=list(take(halves[1], count=calibration, seed=seed + 1)),
        origin=recordings.origin,
    )


def read_recordings(folder: Path | None) -> Recordings:
    """Every readable recording with speech under a folder; without one the fixture calls and golden clips."""
    folders = [folder] if folder is not None else [each for each in (FIXTURES, GOLDEN) if each.is_dir()]
    paths = [path for each in folders for path in sorted(each.rglob("*")) if path.suffix.lower() in _ENDINGS]
    waveforms = [heard for path in paths if (heard := _listen(path)) is not None]
    if not waveforms:
        where = folder or "the fixtures"
        raise ConfigurationError(
            f"no recording with speech (WAV, MP3, .ulaw, .alaw) in {where}: name a folder of real calls with --windows"
        )
    # Base names: the record must not tell where a user keeps calls, nor differ between machines for the same files.
    origin = f"{len(waveforms)} recordings of {' and '.join(each.name for each in folders)}"
    return Recordings(waveforms, origin)


def _listen(path: Path) -> tuple[Waveform, int] | None:
    """The called party, taken as the second channel of two (a dialled leg), and its onset; None without speech."""
    try:
        tracks = decode(path.read_bytes(), content_type=_ENDINGS[path.suffix.lower()], max_s=2 * _SEARCH_S)
    except Undecodable:
        return None
    waveform = called_party(tracks, channel=min(2, len(tracks.samples)), one_sided=True).waveform
    if waveform.duration_ms < _LEAST_MS:
        return None
    onset_ms = speech_onset_ms(waveform)
    return None if onset_ms is None else (waveform, onset_ms)


def _windows(
    recordings: Sequence[tuple[Waveform, int]], *, count: int, seed: int, settings: Settings
) -> Iterator[Samples]:
    rng = np.random.default_rng(seed)
    lengths = [settings.window_ms] * 7 + [settings.long_window_ms] * 2 + [_LEAST_MS]
    made = attempts = 0
    while made < count:
        waveform, onset_ms = recordings[attempts % len(recordings)]
        as_it_is = attempts < len(recordings)
        attempts += 1
        if not as_it_is:
            onset_ms = max(0, onset_ms + int(rng.integers(-150, 400)))
        length_ms = lengths[made % len(lengths)]
        window = cut(waveform, onset_ms=onset_ms, anchor=settings.window_anchor, length_ms=length_ms)
        if window.duration_ms < _LEAST_MS:
            window = cut(waveform, onset_ms=None, anchor=Anchor.ANSWER, length_ms=length_ms)
        made += 1
        yield window.samples if as_it_is else vary(window.samples, rng)


def vary(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same speech over another utterance: band, noise, level, lost packets, μ-law; drawn independently."""
    varied = _band(samples, rng) if rng.random() < 0.5 else samples
    loudness = float(np.sqrt(np.mean(varied**2)))
    noise = rng.normal(0, 1, len(varied)) * loudness * 10 ** (-rng.uniform(5, 40) / 20)
    varied = ((varied + noise) * 10 ** (rng.uniform(-14, 8) / 20)).astype(np.float32)
    if rng.random() < 0.2:
        frames = varied[: len(varied) // 320 * 320].reshape(-1, 320)
        frames[rng.random(len(frames)) < 0.02] = 0
    heard = np.clip(varied, -1, 1).astype(np.float32)
    return compand(heard) if rng.random() < 0.5 else heard


def _band(samples: Samples, rng: np.random.Generator) -> Samples:
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    kept = (frequency > rng.uniform(100, 400)) & (frequency < rng.uniform(2800, 3800))
    return np.fft.irfft(np.fft.rfft(samples) * kept, len(samples)).astype(np.float32)
