"""Decodes WAV files, including files with wrong sizes in their header.

This module reads the RIFF structure only to find the format and the samples. The module then passes the samples to
libsndfile with a correct header. libsndfile trusts the sizes in a header: if the original header contained a data size
of 0, libsndfile would decode 0 frames.
"""

import struct
from dataclasses import dataclass, replace

import numpy as np

from amd_service.detection.audio.riff import UNKNOWN_SIZES, Chunk, chunks, is_followed_by_chunk
from amd_service.detection.audio.sound_file import read_sound
from amd_service.detection.audio.tracks import Tracks, head_frames, make_tracks, require_plausible
from amd_service.errors import Undecodable

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE


@dataclass(frozen=True, slots=True)
class Layout:
    """Format and position of the samples.

    `data_at`: byte offset of the samples. `declared`: bytes of samples according to the header; None if the header does
    not name a size.
    """

    tag: int
    channels: int
    rate_hz: int
    sample_bytes: int
    data_at: int
    declared: int | None

    @property
    def block(self) -> int:
        return self.channels * self.sample_bytes

    @property
    def encoding(self) -> str:
        names = {MULAW: "mulaw", ALAW: "alaw", FLOAT: f"float{8 * self.sample_bytes}"}
        return names.get(self.tag, f"pcm{8 * self.sample_bytes}")


def is_wav(data: bytes) -> bool:
    """Return True if `data` begins with the header of a RIFF (or RF64) WAVE file."""
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def decode_wav(data: bytes, max_s: float | None) -> Tracks:
    """Decode the first `max_s` seconds of a WAV file.

    Raises:
        Undecodable: the format or the samples are missing, or the format is not supported.
    """
    layout = read_layout(data)
    size = _body_size(data, layout)
    frames = size // layout.block
    head = head_frames(max_s, layout.rate_hz)
    wanted = frames if head is None else min(head, frames)
    payload = data[layout.data_at : layout.data_at + wanted * layout.block]
    truncated = layout.declared is not None and layout.declared > len(data) - layout.data_at
    samples = _decode_payload(layout, payload) if payload else np.zeros((0, layout.channels), dtype=np.float32)
    return make_tracks(samples, layout.rate_hz, truncated=truncated, encoding=layout.encoding)


def wav_seconds(prefix: bytes) -> float:
    """Return the seconds of audio in the beginning of a WAV file, computed with the rate in its header.

    Raises:
        Undecodable: the header is incomplete or damaged.
    """
    layout = read_layout(prefix)
    return (len(prefix) - layout.data_at) / layout.block / layout.rate_hz


def read_layout(data: bytes) -> Layout:
    """Find the format and the samples in a WAV file, or in the beginning of a WAV file.

    Raises:
        Undecodable: the first 64 chunks do not contain the format and the samples, or the format is not supported.
    """
    layout: Layout | None = None
    for chunk in chunks(data):
        if chunk.name == b"data" and layout is not None:
            return replace(layout, data_at=chunk.at, declared=None if chunk.size in UNKNOWN_SIZES else chunk.size)
        if chunk.name == b"fmt " and layout is None:
            layout = _read_format(data[chunk.at : chunk.at + max(chunk.size, 16)])
    raise Undecodable("The WAV file has no samples: its header is incomplete or damaged. Send the file again.")


def _read_format(body: bytes) -> Layout:
    if len(body) < 16:
        raise Undecodable("The WAV file's format chunk is incomplete: send the file again.")
    tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE and len(body) >= 26:
        # The sub-format is a GUID that begins with the plain format tag.
        tag = int.from_bytes(body[24:26], "little")
    require_plausible(channels, rate_hz)
    return Layout(tag, channels, rate_hz, _sample_bytes(tag, channels, block, bits), 0, None)


def _sample_bytes(tag: int, channels: int, block: int, bits: int) -> int:
    """Return the size of one sample in bytes, computed from the block size.

    The number of bits in the header is not enough, because a sample may fill its container only partly (20 of 24 bits).
    """
    if tag in (MULAW, ALAW):
        return 1
    least = -(-bits // 8)
    size = block // channels if block % channels == 0 and block // channels >= least > 0 else least
    allowed = {PCM: (1, 2, 3, 4), FLOAT: (4, 8)}.get(tag)
    if allowed is None:
        raise Undecodable(f"WAV format tag {tag:#06x} is not supported: send PCM, float, mu-law or A-law.")
    if size not in allowed and least not in allowed:
        raise Undecodable(
            f"The WAV file has {bits} bits in blocks of {block} bytes, so it is damaged: send the file again."
        )
    return size if size in allowed else least


def _body_size(data: bytes, layout: Layout) -> int:
    """Return the number of bytes of samples in the file, without the chunks after the samples."""
    available = len(data) - layout.data_at
    size = layout.declared or 0
    if size >= available:
        return available
    # If the size is correct, another chunk or the end of the file follows the samples. If the size is wrong, the
    # samples continue to the end of the file.
    if is_followed_by_chunk(data, Chunk(b"data", layout.data_at, size)):
        return size
    return size if size and available - size < 8 else available


def _decode_payload(layout: Layout, payload: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(payload), b"WAVE", b"fmt ", 16, layout.tag, layout.channels, layout.rate_hz),
        *(layout.rate_hz * layout.block, layout.block, 8 * layout.sample_bytes, b"data", len(payload)),
    )
    return read_sound(header + payload, f"{layout.encoding} WAV", None).samples
