"""Decodes audio without a header. The content type names the encoding, the rate and the channels."""

import audioop
from dataclasses import dataclass

import numpy as np

from amd_service.detection.audio.tracks import Tracks, head_frames, make_tracks, require_plausible
from amd_service.errors import Undecodable

# The names come from RFC 2046 (basic), RFC 2586 (L16, big endian) and RFC 4856 (PCMU, PCMA). Older names are also
# accepted.
ENCODINGS = {
    "audio/basic": "mulaw",
    "audio/x-mulaw": "mulaw",
    "audio/mulaw": "mulaw",
    "audio/x-ulaw": "mulaw",
    "audio/ulaw": "mulaw",
    "audio/pcmu": "mulaw",
    "audio/x-alaw": "alaw",
    "audio/alaw": "alaw",
    "audio/x-alaw-basic": "alaw",
    "audio/pcma": "alaw",
    "audio/l16": "pcm16be",
    "audio/pcm": "pcm16",
    "audio/x-pcm": "pcm16",
}
BASIC_RATE_HZ = 8_000


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Format of a body without a header."""

    encoding: str
    channels: int
    rate_hz: int


def is_raw(content_type: str | None) -> bool:
    """Return True if a content type names a raw encoding, with or without a rate."""
    return _kind(content_type) in ENCODINGS


def read_raw_format(content_type: str | None) -> RawFormat | None:
    """Return the raw format that a content type names, or None if the content type names no raw encoding.

    The rate of `audio/basic` is 8000 Hz unless the content type names another rate.

    Raises:
        Undecodable: the rate is missing, or a parameter is malformed or implausible.
    """
    kind = _kind(content_type)
    encoding = ENCODINGS.get(kind)
    if encoding is None:
        return None
    rest = (part.strip().lower() for part in (content_type or "").split(";")[1:])
    parameters = dict(part.partition("=")[::2] for part in rest)
    rate_hz = _number(parameters.get("rate"), BASIC_RATE_HZ if kind == "audio/basic" else None)
    if rate_hz is None:
        raise Undecodable(f"Raw audio needs a rate: send the content type as '{kind};rate=8000', or send a WAV file.")
    channels = _number(parameters.get("channels"), 1) or 0
    require_plausible(channels, rate_hz)
    return RawFormat(encoding, channels, rate_hz)


def decode_raw(data: bytes, raw: RawFormat, max_s: float | None) -> Tracks:
    """Decode the first `max_s` seconds of raw audio. An incomplete last frame is dropped."""
    block = raw.channels * (2 if raw.encoding.startswith("pcm16") else 1)
    head = head_frames(max_s, raw.rate_hz)
    frames = len(data) // block if head is None else min(head, len(data) // block)
    linear = _to_linear(data[: frames * block], raw.encoding)
    samples = linear.reshape(frames, raw.channels).astype(np.float32) / np.float32(32768)
    return make_tracks(samples, raw.rate_hz, truncated=len(data) % block != 0, encoding=raw.encoding)


def _to_linear(payload: bytes, encoding: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if encoding == "mulaw":
        return np.frombuffer(audioop.ulaw2lin(payload, 2), dtype=np.int16)
    if encoding == "alaw":
        return np.frombuffer(audioop.alaw2lin(payload, 2), dtype=np.int16)
    return np.frombuffer(payload, dtype=">i2" if encoding == "pcm16be" else "<i2")


def _kind(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _number(text: str | None, default: int | None) -> int | None:
    if text is None:
        return default
    digits = text.strip("\"' ")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise Undecodable(
            f"The content type's parameter {text[:20]!r} is not a number: send a number, such as rate=8000."
        )
    return int(digits)
