"""Decodes recordings: WAV, MP3, and raw audio with a content type that names the encoding."""

from amd_service.detection.audio.mp3 import decode_mp3, is_mp3, mp3_has_seconds
from amd_service.detection.audio.raw import decode_raw, is_raw, read_raw_format
from amd_service.detection.audio.tracks import Tracks
from amd_service.detection.audio.wav import decode_wav, is_wav, wav_seconds
from amd_service.errors import Undecodable

MARKUP = (b"<?xml", b"<!doctype", b"<html", b"<twilioresponse", b"<response", b"<error")


def decode(data: bytes, *, content_type: str | None = None, max_s: float | None = None) -> Tracks:
    """Decode a recording, or only its first `max_s` seconds.

    The cost depends on the decoded part, not on the file size. A header in the data takes precedence over
    `content_type`. Data without a header is decoded as raw audio (mu-law, A-law or 16-bit PCM) only if `content_type`
    names the encoding and the rate, such as `audio/x-mulaw;rate=8000` or `audio/basic`. A file without samples gives
    tracks without frames. Decoding does not rely on the sizes in headers.

    Raises:
        Undecodable: the body is empty, is XML or HTML, or has an unknown format. The error message names the supported
        formats.
    """
    if not data:
        raise Undecodable("The body is empty.")
    if _is_markup(data):
        raise Undecodable("The body is XML or HTML, not audio. It may be an error page for a missing recording.")
    if is_wav(data):
        return decode_wav(data, max_s)
    raw = read_raw_format(content_type)
    if raw is not None:
        return decode_raw(data, raw, max_s)
    if is_mp3(data):
        return decode_mp3(data, max_s)
    raise Undecodable(
        "The body is not in a known audio format (it may be encrypted): send WAV or MP3, "
        "or raw audio with its content type and rate, such as 'audio/x-mulaw;rate=8000'."
    )


def can_decode(prefix: bytes, content_type: str | None) -> bool:
    """Return True if the beginning of a body looks like audio that `decode` supports.

    HTML, XML and encrypted data do not look like audio.
    """
    if _is_markup(prefix):
        return False
    # Only MP3 files begin with ID3. An ID3 tag can be longer than the prefix, so the prefix may not contain any frame.
    return is_wav(prefix) or is_raw(content_type) or prefix.startswith(b"ID3") or is_mp3(prefix)


def has_seconds(prefix: bytes, seconds: float) -> bool:
    """Return True if the beginning of a download contains at least `seconds` seconds of audio.

    The check is fast enough to run after each chunk of a download. The result is False while the data is not
    recognisable as WAV or MP3. So the download of any other format ends
    only at the byte limit.
    """
    if not is_wav(prefix):
        return mp3_has_seconds(prefix, seconds)
    try:
        return wav_seconds(prefix) >= seconds
    except Undecodable:
        return False


def is_text(data: bytes, content_type: str | None) -> bool:
    """Return True if a body is text, such as HTML, XML, JSON or an error message.

    Raw audio can consist of printable characters: silence in A-law is the letter U.
    """
    if _is_markup(data):
        return True
    start = data[:512].decode("utf-8", errors="ignore")
    return not is_raw(content_type) and bool(start) and all(each.isprintable() or each.isspace() for each in start)


def _is_markup(data: bytes) -> bool:
    start = data[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith(MARKUP)
