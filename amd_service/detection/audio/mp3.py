"""Decodes MP3 files.

This module finds the frames (ISO 11172-3, 13818-3 and the 2.5 extension, layer III). libsndfile decodes the frames.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import soundfile

from amd_service.detection.audio.tracks import Tracks, head_frames, make_tracks, require_plausible
from amd_service.errors import Undecodable

KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES_1_HZ = (44_100, 48_000, 32_000)
LAYER_III = 1
VERSION_25, VERSION_2, VERSION_1 = 0, 2, 3
MONO = 3
# Maximum number of bytes to search for the first frame, or for the next frame after damage.
SEARCH_BYTES = 8_192
# Maximum number of damaged parts to skip. The search for the next frame checks every byte, so decoding a mostly damaged
# file would take seconds without this limit.
MAX_SKIPS = 16
# Maximum length, in seconds, of the delays of encoder and decoder plus a leading frame without audio (Xing). Together,
# the delays and this frame last at most four frames of 72 ms.
DELAY_S = 0.3


@dataclass(frozen=True, slots=True)
class Frame:
    """Format of one MP3 frame, with its start and end as byte offsets. `samples`: number of samples per channel."""

    at: int
    end: int
    rate_hz: int
    samples: int
    channels: int


def is_mp3(data: bytes) -> bool:
    """Return True if MP3 frames begin near the start of `data`, or after its ID3 tag."""
    return _first_frame(data, _after_tag(data)) is not None


def decode_mp3(data: bytes, max_s: float | None) -> Tracks:
    """Decode the first `max_s` seconds of an MP3 file.

    Raises:
        Undecodable: the body has no frame, or the decoder fails.
    """
    frames = list(_frames_until(data, None if max_s is None else max_s + 2 * DELAY_S))
    if not frames:
        raise Undecodable("The body has no MP3 frame: send WAV or MP3.")
    first, last = frames[0], frames[-1]
    require_plausible(first.channels, first.rate_hz)
    # Compute the length from the counted frames, because the count in a Xing header can be wrong.
    wanted = sum(frame.samples for frame in frames)
    head = head_frames(max_s, first.rate_hz)
    wanted = wanted if head is None else min(head, wanted)
    try:
        with soundfile.SoundFile(io.BytesIO(_with_true_counts(data[first.at : last.end], len(frames)))) as file:
            samples, rate_hz = file.read(wanted, dtype="float32", always_2d=True), file.samplerate
    except soundfile.SoundFileError as error:
        raise Undecodable(f"The MP3 file cannot be decoded: {error}") from error
    return make_tracks(samples, rate_hz, truncated=last.end > len(data), encoding="mp3")


def mp3_has_seconds(prefix: bytes, seconds: float) -> bool:
    """Return True if the beginning of an MP3 file decodes to at least `seconds` seconds."""
    held, enough = 0.0, seconds + DELAY_S
    for frame in _frames(prefix):
        if frame.end > len(prefix):
            return False
        held += frame.samples / frame.rate_hz
        if held >= enough:
            return True
    return False


def _frames_until(data: bytes, seconds: float | None) -> Iterator[Frame]:
    held = 0.0
    for frame in _frames(data):
        yield frame
        held += frame.samples / frame.rate_hz
        if seconds is not None and held >= seconds:
            return


def _frames(data: bytes) -> Iterator[Frame]:
    """All frames. Up to MAX_SKIPS damaged parts are skipped. A tag at the end of the file does not count as a frame."""
    frame, skips = _first_frame(data, _after_tag(data)), 0
    while frame is not None:
        yield frame
        following = _read_frame(data, frame.end)
        if following is None and skips < MAX_SKIPS:
            following, skips = _first_frame(data, frame.end), skips + 1
        frame = following


def _after_tag(data: bytes) -> int:
    """Return the byte offset of the end of the ID3v2 tag, or 0 without a tag.

    The size field of the tag uses seven bits of each byte.
    """
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _with_true_counts(body: bytes, frames: int) -> bytes:
    """Return the body with correct counts in a leading Xing frame.

    The decoder stops after the number of frames that the Xing frame names.
    """
    at = next((found for tag in (b"Xing", b"Info") if (found := body.find(tag, 0, 64)) >= 0), None)
    if at is None or at + 16 > len(body):
        return body
    flags, patched = body[at + 7], bytearray(body)
    counts = [frames - 1] * (flags & 1) + [len(body)] * (flags >> 1 & 1)
    for index, count in enumerate(counts):
        patched[at + 8 + 4 * index : at + 12 + 4 * index] = count.to_bytes(4, "big")
    return bytes(patched)


def _first_frame(data: bytes, start: int) -> Frame | None:
    """Return the first frame that begins in the SEARCH_BYTES bytes from byte `start`.

    A frame counts only if a frame of the same format follows. A frame exactly at `start` also counts if it extends to
    the end of the data.
    """
    at = data.find(b"\xff", start, start + SEARCH_BYTES)
    while at >= 0:
        frame = _read_frame(data, at)
        after = _read_frame(data, frame.end) if frame else None
        if frame and after and (after.rate_hz, after.channels) == (frame.rate_hz, frame.channels):
            return frame
        if frame and at == start and frame.end >= len(data):
            return frame
        at = data.find(b"\xff", at + 1, start + SEARCH_BYTES)
    return None


def _read_frame(data: bytes, at: int) -> Frame | None:
    header = int.from_bytes(data[at : at + 4], "big")
    if at + 4 > len(data) or header >> 21 != 0x7FF:
        return None
    version, layer = header >> 19 & 3, header >> 17 & 3
    kbps_index, rate_index = header >> 12 & 15, header >> 10 & 3
    if version == 1 or layer != LAYER_III or kbps_index in (0, 15) or rate_index == 3:
        return None
    rate_hz = RATES_1_HZ[rate_index] // {VERSION_1: 1, VERSION_2: 2, VERSION_25: 4}[version]
    kbps, samples = (KBPS_1, 1152) if version == VERSION_1 else (KBPS_2, 576)
    size = samples // 8 * kbps[kbps_index] * 1000 // rate_hz + (header >> 9 & 1)
    return Frame(at, at + size, rate_hz, samples, 1 if header >> 6 & 3 == MONO else 2)
