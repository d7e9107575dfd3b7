"""Decodes MP3 files.

This module finds the frames (ISO 11172-3, 13818-3 and the 2.5 extension, layer III). libsndfile decodes the frames.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from amd_service.detection.audio.c_stderr import c_stderr
from amd_service.detection.audio.sound_file import read_sound
from amd_service.detection.audio.tags import MAX_TAGS, is_tag, skip_zeros, tag_ends
from amd_service.detection.audio.tracks import Tracks, make_tracks, require_plausible
from amd_service.errors import Undecodable

KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES_1_HZ = (44_100, 48_000, 32_000)
LAYER_III = 1
VERSION_25, VERSION_2, VERSION_1 = 0, 2, 3
MONO = 3
_FRAME_HEADER = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
# Maximum number of bytes to search for the first frame (as FFmpeg), and for the next frame after damage.
START_BYTES = 65_536
RESYNC_BYTES = 8_192
# Number of consecutive frames of the same format that prove MP3. Noise contains single frame headers.
PROOF = 3
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

    def has_format_of(self, other: "Frame") -> bool:
        return (self.rate_hz, self.samples, self.channels) == (other.rate_hz, other.samples, other.channels)


def is_mp3(data: bytes) -> bool:
    """Return True if MP3 frames begin near the start of `data`, or after its tags."""
    return _next_frame(data, 0, START_BYTES) is not None


def begins_with_mp3(data: bytes) -> bool:
    """Return True if the data begins with an ID3 tag or with so many MP3 frames that raw audio is excluded."""
    return data.startswith((b"ID3\x02", b"ID3\x03", b"ID3\x04")) or _proven_frame(data, 0, least=4, proof=8) is not None


def decode_mp3(data: bytes, max_s: float | None) -> Tracks:
    """Decode the first `max_s` seconds of an MP3 file.

    Raises:
        Undecodable: the body has no frame, or the decoder fails.
    """
    frames = list(_frames_until(data, None if max_s is None else max_s + 2 * DELAY_S))
    if not frames:
        raise Undecodable("The MP3 file has a tag but no frame: send the whole file, or send WAV.")
    first, last = frames[0], frames[-1]
    require_plausible(first.channels, first.rate_hz)
    # The decoder gets only frames, because it searches all other bytes for frames by rules of its own.
    body = b"".join(data[frame.at : frame.end] for frame in frames)
    # Compute the length from the counted frames, because the count in a Xing header can be wrong.
    counted = sum(frame.samples for frame in frames)
    with c_stderr().discarded():
        sound = read_sound(_with_true_counts(body, len(frames)), "MP3", max_s)
    return make_tracks(sound.samples[:counted], sound.rate_hz, truncated=last.end > len(data), encoding="mp3")


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
    frame, skips = _next_frame(data, 0, START_BYTES), 0
    while frame is not None:
        yield frame
        following = _read_frame(data, frame.end)
        if following is None or not following.has_format_of(frame):
            following = _next_frame(data, frame.end, RESYNC_BYTES, like=frame) if skips < MAX_SKIPS else None
            skips += 1
        frame = following


def _next_frame(data: bytes, at: int, search_bytes: int, *, like: Frame | None = None) -> Frame | None:
    """Return the first proven frame after the zeros and tags at byte `at`.

    If the size of a tag is wrong, the first frame in the `search_bytes` bytes from the start of the tag counts.
    """
    start = at = skip_zeros(data, at)
    for _ in range(MAX_TAGS):
        if not is_tag(data, at):
            break
        ends = tag_ends(data, at)
        at = next((end for end in ends if is_tag(data, end) or _proven_frame(data, end, least=1)), ends[0])
    return (
        _proven_frame(data, at, least=1, like=like)
        or _search(data, at, search_bytes, like)
        or (_search(data, start, search_bytes, like) if at > start else None)
    )


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


def _search(data: bytes, start: int, length: int, like: Frame | None) -> Frame | None:
    """Return the first proven frame that begins in the `length` bytes from byte `start`, with the format of `like`."""
    for match in _FRAME_HEADER.finditer(data, start, start + length):
        frame = _proven_frame(data, match.start(), least=2, like=like)
        if frame is not None:
            return frame
    return None


def _proven_frame(data: bytes, at: int, *, least: int, proof: int = PROOF, like: Frame | None = None) -> Frame | None:
    """Return the frame at byte `at` if `proof` consecutive frames of one format (the format of `like`) begin there.

    `least` frames are enough if the last frame extends to the end of the data or to the tag behind the audio.
    """
    first = frame = _read_frame(data, at)
    for count in range(1, proof + 1):
        if frame is None or first is None or not frame.has_format_of(like or first):
            return None
        is_last = frame.end >= len(data) or data.startswith((b"TAG", b"APETAGEX", b"ID3", bytes(4)), frame.end)
        if count == proof or (count >= least and is_last):
            return first
        frame = _read_frame(data, frame.end)
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
