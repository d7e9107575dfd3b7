"""Parse the messages of Twilio's Media Streams, and keep their audio in time.

Twilio's documentation (voice/media-streams/websocket-messages): `connected`, `start`, `media` …, `stop`. Numbers are
strings. Audio is μ-law at 8 kHz with one channel; each track has its own messages.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amd_service.domain import AccountSid, CallSid, StreamSid, is_sid
from amd_service.errors import MalformedCallback

# Limit for the WebSocket server. Twilio's messages have about 400 bytes.
MAX_MESSAGE_BYTES = 64 * 1024
# Track of the called party: the audio that Twilio receives from the phone.
INBOUND = "inbound"
MEDIA_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}

BYTES_PER_MS = 8
# A sample of 0 in μ-law.
SILENCE = b"\xff"
# Timestamps deviate by a few frames although nothing is missing.
JITTER_MS = 100
# With more audio missing than this, the rest does not represent the call.
MAX_FILL_MS = 1000


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Start of a stream. Its format is supported and it has the called party's track.

    `key`: the stream's parameter `key` from the TwiML, None without it.
    """

    account_sid: AccountSid
    call_sid: CallSid
    stream_sid: StreamSid
    key: str | None


@dataclass(frozen=True, slots=True)
class StreamMedia:
    """A chunk of the called party's audio. `timestamp_ms`: time since the start of the stream.

    `chunk`: a growing number. Twilio's documentation contradicts itself on whether it counts each track separately.
    """

    stream_sid: str
    chunk: int
    timestamp_ms: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """End of a stream. The call may continue."""


StreamEvent = StreamStarted | StreamMedia | StreamStopped


def parse_message(text: str) -> StreamEvent | None:
    """Parse one message. Raises MalformedCallback for invalid JSON and missing or invalid fields.

    None for messages that are not needed: `connected`, the other track, `mark`, `dtmf` and unknown events.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCallback(f"the message is not JSON: {error}") from error
    match _object(message, "the message").get("event"):
        case "start":
            return _started(_object(message.get("start"), "start"))
        case "media":
            return _media(_text(message, "streamSid"), _object(message.get("media"), "media"))
        case "stop":
            return StreamStopped()
        case _:
            return None


def _started(start: Mapping[str, Any]) -> StreamStarted:
    media_format = _object(start.get("mediaFormat"), "mediaFormat")
    if any(str(media_format.get(key)) != value for key, value in MEDIA_FORMAT.items()):
        raise MalformedCallback(f"mediaFormat is {str(dict(media_format))[:200]}; it must be {MEDIA_FORMAT}")
    tracks = start.get("tracks")
    if not isinstance(tracks, list) or INBOUND not in tracks:
        raise MalformedCallback('the stream lacks the inbound track: write <Stream track="inbound_track">')
    sids = [_text(start, key) for key in ("accountSid", "callSid", "streamSid")]
    if not all(is_sid(sid, kind) for sid, kind in zip(sids, ("AC", "CA", "MZ"), strict=True)):
        raise MalformedCallback("accountSid, callSid or streamSid is not AC, CA or MZ and 32 hexadecimal digits")
    parameters = start.get("customParameters")
    key = parameters.get("key") if isinstance(parameters, dict) else None
    return StreamStarted(
        AccountSid(sids[0]), CallSid(sids[1]), StreamSid(sids[2]), key if isinstance(key, str) else None
    )


def _media(stream_sid: str, media: Mapping[str, Any]) -> StreamMedia | None:
    if media.get("track") != INBOUND:
        return None
    try:
        audio = base64.b64decode(_text(media, "payload"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedCallback(f"payload is not base64: {error}") from error
    return StreamMedia(stream_sid, _number(media, "chunk"), _number(media, "timestamp"), audio)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedCallback(f"{name} must be an object")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedCallback(f"{name} must be a string")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    digits = str(fields.get(name))
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise MalformedCallback(f"{name} must be a number")
    return int(digits)


class Timeline:
    """Keeps the audio of a stream in time.

    Audio that is missing after the first chunk, according to timestamps, is replaced by silence, so that later audio
    keeps its position. Late and repeated chunks are dropped. `filled_ms`: length of all inserted silence.
    """

    def __init__(self) -> None:
        self._last_chunk = 0
        self._started_ms: int | None = None
        self._inserted_bytes = 0
        self.filled_ms = 0

    def insert(self, media: StreamMedia) -> bytes:
        """Return the audio to append: silence for missing audio, then the chunk. Empty for a late or repeated chunk.

        Raises MalformedCallback when more than a second is missing in total.
        """
        if media.chunk <= self._last_chunk:
            return b""
        gap = SILENCE * self._gap_bytes(media)
        self.filled_ms += len(gap) // BYTES_PER_MS
        self._last_chunk = media.chunk
        self._inserted_bytes += len(gap) + len(media.audio)
        return gap + media.audio

    def _gap_bytes(self, media: StreamMedia) -> int:
        if self._started_ms is None:
            self._started_ms = media.timestamp_ms
        timed = (media.timestamp_ms - self._started_ms) * BYTES_PER_MS - self._inserted_bytes
        # All chunks have the same length. If chunks of the other track are counted too, this exceeds the gap.
        counted = (media.chunk - self._last_chunk - 1) * len(media.audio)
        gap = timed if timed > JITTER_MS * BYTES_PER_MS else max(0, min(timed, counted))
        if self.filled_ms + gap // BYTES_PER_MS > MAX_FILL_MS:
            raise MalformedCallback(f"more than {MAX_FILL_MS} ms of audio are missing from the stream")
        return gap
