"""Audio without a header: what it is, the content type has to say."""

import audioop
from dataclasses import dataclass

import numpy as np

from amd_service.detection.audio.tracks import Tracks, head_frames, make_tracks, require_plausible
from amd_service.errors import Undecodable

# RFC 2046 (basic), 2586 (L16, big endian), 4856 (PCMU, PCMA), and the names in use before them.
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
    """What a body without a header holds."""

    encoding: str
    channels: int
    rate_hz: int


def is_raw(content_type: str | None) -> bool:
    """Whether a content type names an encoding without a header, with or without its rate."""
    return _kind(content_type) in ENCODINGS


def read_raw_format(content_type: str | None, raw_rate_hz: int | None) -> RawFormat | None:
    """What a content type says of a raw body; None when it does not name a raw encoding.

    The content type's own rate outranks `raw_rate_hz`; `audio/basic` is 8000 by definition.

    Raises:
        Undecodable: a raw encoding without a rate, or with a senseless one.
    """
    kind = _kind(content_type)
    encoding = ENCODINGS.get(kind)
    if encoding is None:
        return None
    rest = (part.strip().lower() for part in (content_type or "").split(";")[1:])
    parameters = dict(part.partition("=")[::2] for part in rest)
    default = BASIC_RATE_HZ if kind == "audio/basic" else raw_rate_hz
    rate_hz = _number(parameters.get("rate"), default)
    if rate_hz is None:
        raise Undecodable(f"Raw audio needs its rate: send the content type as '{kind};rate=8000', or a WAV file.")
    channels = _number(parameters.get("channels"), 1) or 0
    require_plausible(channels, rate_hz)
    return RawFormat(encoding, channels, rate_hz)


def decode_raw(data: bytes, form: RawFormat, max_s: float | None) -> Tracks:
    """Decode the first `max_s` seconds of a body of the given form; an incomplete last frame is left out."""
    block = form.channels * (2 if form.encoding.startswith("pcm16") else 1)
    head = head_frames(max_s, form.rate_hz)
    frames = len(data) // block if head is None else min(head, len(data) // block)
    linear = _to_linear(data[: frames * block], form.encoding)
    samples = linear.reshape(frames, form.channels).astype(np.float32) / np.float32(32768)
    return make_tracks(samples, form.rate_hz, truncated=len(data) % block != 0, encoding=form.encoding)


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
        raise Undecodable(f"The content type's parameter {text[:20]!r} is not a number: write e.g. rate=8000.")
    return int(digits)
