"""Recognises files by their first bytes, whatever their content type says."""

from dataclasses import dataclass

from amd_service.detection.audio.ogg import MAGIC, codec_of
from amd_service.detection.audio.tags import is_tag, tag_ends

CONVERT = "convert it to WAV or MP3, for example with `ffmpeg -i INPUT call.wav`"
UNPACK = "unpack it and send the audio file, as WAV or MP3"
NO_AUDIO = "send an audio file, as WAV or MP3"


@dataclass(frozen=True, slots=True)
class Container:
    """A file format. `cure`: what to do with a file that cannot be decoded; empty if the service decodes the format."""

    name: str
    cure: str = ""


FLAC, OGG = "FLAC", "Ogg"
# Byte offset and first bytes of each format. All entries have at least four bytes, so raw audio matches none by chance.
DECODED = (
    (0, b"fLaC", FLAC),
    (0, MAGIC, OGG),
    (0, b".snd", "AU"),
    (0, b"dns.", "AU"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b"caff", "CAF"),
)
REFUSED = (
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska", CONVERT),
    (4, b"ftyp", "MP4, M4A or 3GP", CONVERT),
    (4, b"moov", "QuickTime", CONVERT),
    (0, b"#!AMR", "AMR", CONVERT),
    (0, b"#!SILK", "SILK", CONVERT),
    (1, b"#!SILK", "SILK", CONVERT),
    (0, b"0&\xb2u\x8ef\xcf\x11", "WMA or ASF", CONVERT),
    (0, b"FLV\x01", "Flash video", CONVERT),
    (0, b".RMF", "RealMedia", CONVERT),
    (0, b"ADIF", "AAC", CONVERT),
    (0, b"wvpk", "WavPack", CONVERT),
    (0, b"MAC ", "Monkey's Audio", CONVERT),
    (0, b"MPCK", "Musepack", CONVERT),
    (0, b"DSD ", "DSD", CONVERT),
    (0, b"riff.\x91\xcf\x11", "Wave64", CONVERT),
    (0, b"RIFX", "big-endian WAV (RIFX)", CONVERT),
    (8, b"AVI ", "AVI", CONVERT),
    (0, b"NIST_1A", "NIST SPHERE", CONVERT),
    (0, b"Creative Voice File", "VOC", CONVERT),
    (0, b"MThd", "MIDI", NO_AUDIO),
    (0, b"PK\x03\x04", "ZIP", UNPACK),
    (0, b"\x1f\x8b\x08\x00", "gzip", UNPACK),
    (0, b"\x1f\x8b\x08\x08", "gzip", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", UNPACK),
    (0, b"Rar!\x1a\x07", "RAR", UNPACK),
    (0, b"\xfd7zXZ", "xz", UNPACK),
    (0, b"(\xb5/\xfd", "zstd", UNPACK),
    (0, b"%PDF-", "PDF", NO_AUDIO),
    (0, b"\x89PNG", "PNG", NO_AUDIO),
    (6, b"JFIF", "JPEG", NO_AUDIO),
    (6, b"Exif", "JPEG", NO_AUDIO),
    (0, b"GIF8", "GIF", NO_AUDIO),
    (0, b"\x7fELF", "ELF", NO_AUDIO),
    (0, b"Salted__", "OpenSSL (encrypted)", "decrypt it and send the audio file, as WAV or MP3"),
)
FORM = b"FORM"


def recognise(data: bytes) -> Container | None:
    """Return the format of a file or of its beginning, or None. WAV and MP3 files are not in this table."""
    for at, magic, name in DECODED:
        if data.startswith(magic, at) and (at == 0 or data.startswith(FORM)):
            codec = codec_of(data) if name == OGG else None
            return Container(f"{name} {codec}" if codec else name, CONVERT if codec in ("FLAC", "Speex") else "")
    for at, magic, name, cure in REFUSED:
        if data.startswith(magic, at):
            return Container(name, cure)
    if is_tag(data) and any(data.startswith(b"fLaC", end) for end in tag_ends(data, 0)):
        return Container(FLAC)
    return Container("AAC", CONVERT) if _is_adts(data) else None


def _is_adts(data: bytes) -> bool:
    """Return True if four AAC frames with ADTS headers begin at byte 0 (ISO 13818-7, section 6.2)."""
    at = 0
    for _ in range(4):
        if at + 7 > len(data) or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[at : at + 3] != data[:3]:
            return False
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        if size < 7:
            return False
        at += size
    return True
