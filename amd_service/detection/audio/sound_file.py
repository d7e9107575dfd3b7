"""Reads sound files with libsndfile.

The files are read block by block, so a small file that declares or contains hours of audio needs no more time and
memory than the requested seconds.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from amd_service.detection.audio.tracks import head_frames, require_plausible
from amd_service.errors import Undecodable

# Frames per block. If the decoder stops at damage, the frames of the last block are lost.
BLOCK_FRAMES = 4_096
# The service's names of libsndfile's encodings, where the names differ.
_NAMES = {"ULAW": "mulaw", "ALAW": "alaw", "PCM_S8": "pcm8", "PCM_U8": "pcm8", "FLOAT": "float32", "DOUBLE": "float64"}


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Decoded samples, shape (frames, channels). `truncated`: True if the decoder stopped early."""

    samples: NDArray[np.float32]
    rate_hz: int
    encoding: str
    truncated: bool


class _Body(io.BytesIO):
    """Ignores seeks to negative offsets. In damaged files, libsndfile seeks to such offsets."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(max(offset, 0) if whence == io.SEEK_SET else offset, whence)


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """Reads without seeking. soundfile seeks after each block, which fails in a FLAC file that declares no length."""

    def seekable(self) -> bool:
        return False


def read_sound(data: bytes, name: str, max_s: float | None) -> Sound:
    """Decode the first `max_s` seconds of a sound file. `name`: name of the format for the error message.

    Raises:
        Undecodable: the file is damaged, or has an implausible number of channels or sample rate.
    """
    try:
        with _SequentialFile(_Body(data)) as file:
            require_plausible(file.channels, file.samplerate)
            blocks, damaged = _read_blocks(file, head_frames(max_s, file.samplerate))
            rate_hz, subtype = file.samplerate, "FLAC" if file.format == "FLAC" else str(file.subtype)
    except soundfile.SoundFileError as error:
        raise _damaged(name) from error
    if damaged and not blocks:
        raise _damaged(name)
    samples = np.concatenate(blocks) if blocks else np.zeros((0, file.channels), dtype=np.float32)
    return Sound(samples, rate_hz, _NAMES.get(subtype) or subtype.lower().replace("pcm_", "pcm"), damaged)


def _read_blocks(file: Any, frames: int | None) -> tuple[list[NDArray[np.float32]], bool]:
    """Return up to `frames` frames as blocks, and whether the decoder failed."""
    blocks: list[NDArray[np.float32]] = []
    left = frames
    while left is None or left > 0:
        try:
            block = file.read(
                BLOCK_FRAMES if left is None else min(left, BLOCK_FRAMES), dtype="float32", always_2d=True
            )
        except soundfile.SoundFileError:
            return blocks, True
        if not len(block):
            break
        blocks.append(block)
        left = None if left is None else left - len(block)
    return blocks, False


def _damaged(name: str) -> Undecodable:
    return Undecodable(
        f"The {name} file is damaged, incomplete or has an unknown encoding: send it again, or send WAV."
    )
