"""Suffixes of the audio files that `decode` supports.

Every command that searches a directory for audio uses this table.
"""

from collections.abc import Mapping
from types import MappingProxyType

_MULAW, _ALAW = "audio/x-mulaw;rate=8000", "audio/x-alaw;rate=8000"

# Content types by suffix. Files without a header have a sample rate of 8 kHz, as in telephony.
CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {".wav": "audio/x-wav", ".wave": "audio/x-wav", ".mp3": "audio/mpeg", ".flac": "audio/flac"}
    | {".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg"}
    | {".aif": "audio/aiff", ".aiff": "audio/aiff", ".aifc": "audio/aiff"}
    | {".au": "audio/x-au", ".snd": "audio/x-au", ".caf": "audio/x-caf"}
    | {".ulaw": _MULAW, ".ul": _MULAW, ".alaw": _ALAW}
)
