"""Computed signals, the committed speech clips, and WAV files with arbitrary headers."""

import audioop
import io
import struct
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from amd_service.domain import Waveform

Array = NDArray[np.float32]
RATE_HZ = 8_000
CLIPS = sorted((Path(__file__).parents[1] / "detection" / "audio" / "clips").glob("*.wav"))


def read_clip(path: Path) -> Array:
    samples: Array = soundfile.read(path, dtype="float32")[0]
    return samples


def at_8_khz(*pieces: NDArray[np.floating]) -> Waveform:
    return Waveform(np.concatenate(pieces).astype(np.float32), RATE_HZ)


def silence(seconds: float) -> Array:
    return np.zeros(int(seconds * RATE_HZ), dtype=np.float32)


def tone(frequencies_hz: tuple[float, ...], seconds: float, amplitude: float = 0.2) -> Array:
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    waves = [np.sin(2 * np.pi * hz * time + index) for index, hz in enumerate(frequencies_hz)]
    return np.asarray(amplitude * np.sum(waves, axis=0), dtype=np.float32)


def noise(seconds: float, dbfs: float, seed: int = 0) -> Array:
    samples = np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))
    return np.asarray(samples * 10 ** (dbfs / 20), dtype=np.float32)


def through_mulaw(samples: Array) -> Array:
    linear = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    coded = audioop.ulaw2lin(audioop.lin2ulaw(linear, 2), 2)
    return np.frombuffer(coded, dtype=np.int16).astype(np.float32) / np.float32(32768)


def file_of(samples: Array, *, rate_hz: int = RATE_HZ, form: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Encode a file with libsndfile. Shape of `samples`: (frames,) or (frames, channels)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=form, subtype=subtype)
    return buffer.getvalue()


def wav(
    body: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = RATE_HZ,
    bits: int = 16,
    block: int | None = None,
    data_size: int | None = None,
    before_data: bytes = b"",
    after_data: bytes = b"",
) -> bytes:
    """A WAV file with the given header."""
    block = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * block % 2**32, block, bits)
    size = len(body) if data_size is None else data_size
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + before_data
    chunks += b"data" + struct.pack("<I", size) + body + after_data
    return b"RIFF" + struct.pack("<I", (4 + len(chunks)) % 2**32) + b"WAVE" + chunks


def pcm16(samples: Array) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()
