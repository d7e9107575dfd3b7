"""Decodes recordings: WAV, MP3, FLAC, Ogg, AU, AIFF, CAF, and raw audio whose content type names the encoding."""

from amd_service.detection.audio.containers import Container, recognise
from amd_service.detection.audio.mp3 import begins_with_mp3, decode_mp3, is_mp3, mp3_has_seconds
from amd_service.detection.audio.ogg import select_stream
from amd_service.detection.audio.raw import decode_raw, is_raw, read_raw_format
from amd_service.detection.audio.sound_file import read_sound
from amd_service.detection.audio.text import describe_text
from amd_service.detection.audio.tracks import Tracks, make_tracks
from amd_service.detection.audio.wav import decode_wav, is_wav, wav_seconds
from amd_service.errors import Undecodable


def decode(data: bytes, *, content_type: str | None = None, max_s: float | None = None) -> Tracks:
    """Decode a recording, or only its first `max_s` seconds.

    The cost depends on the decoded part, not on the file size. The first bytes of the data take precedence over
    `content_type`. Data of no known format is decoded as raw audio (mu-law, A-law or 16-bit PCM) only if
    `content_type` names the encoding and the rate, such as `audio/x-mulaw;rate=8000` or `audio/basic`. A file without
    samples gives tracks without frames. Decoding of WAV and MP3 does not rely on the sizes in headers.

    Raises:
        Undecodable: the body is empty, is text, is damaged, or has a format that is not supported. The error message
        names the format, if it is known, and the cure.
    """
    if not data:
        raise Undecodable("The body is empty.")
    if is_wav(data):
        return decode_wav(data, max_s)
    container = recognise(data)
    if container is not None:
        return _decode_container(data, container, max_s)
    if begins_with_mp3(data):
        return decode_mp3(data, max_s)
    text = describe_text(data, is_raw=is_raw(content_type))
    if text is not None:
        raise Undecodable(text)
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

    Text, encrypted data and unsupported formats do not look like audio.
    """
    if is_wav(prefix) or begins_with_mp3(prefix):
        return True
    container = recognise(prefix)
    if container is not None:
        return not container.cure
    raw = is_raw(content_type)
    return describe_text(prefix, is_raw=raw) is None and (raw or is_mp3(prefix))


def _decode_container(data: bytes, container: Container, max_s: float | None) -> Tracks:
    if container.cure:
        raise Undecodable(f"The body is a file of the format {container.name}: {container.cure}.")
    if container.name.startswith("Ogg"):
        data = select_stream(data)
    elif container.name == "AU":
        # A recorder that was interrupted leaves a wrong data size. This value means that the size is unknown.
        data = data[:8] + b"\xff\xff\xff\xff" + data[12:]
    sound = read_sound(data, container.name, max_s)
    return make_tracks(sound.samples, sound.rate_hz, truncated=sound.truncated, encoding=sound.encoding)


def has_seconds(prefix: bytes, seconds: float) -> bool:
    """Return True if the beginning of a download contains at least `seconds` seconds of audio.

    The check is fast enough to run after each chunk of a download. The result is False while the data is not
    recognisable as WAV or MP3, so the download of any other format ends only at the byte limit.
    """
    if not is_wav(prefix):
        return recognise(prefix) is None and mp3_has_seconds(prefix, seconds)
    try:
        return wav_seconds(prefix) >= seconds
    except Undecodable:
        return False
