"""Finds out whether a body that was served as a recording can be the whole recording."""

from amd_service.detection.audio.decode import has_seconds
from amd_service.detection.audio.mp3 import is_mp3
from amd_service.detection.audio.raw import is_raw
from amd_service.detection.audio.text import describe_text
from amd_service.detection.audio.wav import is_wav, read_layout
from amd_service.errors import Undecodable

GZIP = b"\x1f\x8b"
# A body has far less audio than expected if it has less than a fifth, or less than half and less than ENOUGH_S seconds.
# RecordingDuration is a whole number, so differences of less than one second mean nothing.
ENOUGH_S = 3.0


def why_incomplete(data: bytes, content_type: str | None, *, duration_s: int | None, is_whole_body: bool) -> str | None:
    """Return the reason why a body cannot be the whole recording, or None if the body is plausible.

    `duration_s`: Twilio's RecordingDuration. If it is None, the size in the header of a WAV file is used. A damaged
    size in the header does not matter if RecordingDuration agrees with the audio. `is_whole_body`: False if the
    download was stopped early, so that the length of `data` proves nothing.
    """
    if not data:
        return "the body is empty"
    if data.startswith(GZIP):
        return "the body is compressed with gzip"
    if describe_text(data, is_raw=is_raw(content_type)):
        return f"the body is text instead of audio: {data[:60]!r}"
    # The chunk of samples begins with its name and its size, 8 bytes together.
    if data.startswith(b"RIFF") and b"data" not in data[12:-4]:
        return "the body ends in the header of the WAV file"
    if not is_whole_body or not (is_wav(data) or is_mp3(data)):
        return None
    expected_s = _declared_s(data) if duration_s is None else float(duration_s)
    if expected_s is None or expected_s >= 1:
        return _why_short(data, expected_s)
    return None


def _why_short(data: bytes, expected_s: float | None) -> str | None:
    if not has_seconds(data, 1e-6):
        return "the body contains no audio"
    if expected_s is None:
        return None
    least_s = max(expected_s / 5, min(expected_s / 2, ENOUGH_S, expected_s - 1))
    return None if has_seconds(data, least_s) else f"the body has less than {least_s:.1f} s of {expected_s:.1f} s"


def _declared_s(data: bytes) -> float | None:
    """Return the seconds of audio according to the header of a WAV file; None if the header does not say it."""
    try:
        layout = read_layout(data)
    except Undecodable:
        return None
    return None if layout.declared is None else layout.declared / layout.block / layout.rate_hz
