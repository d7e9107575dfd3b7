"""Messages of Twilio's Media Streams → typed events, and audio whose times stay true. Pure.

Twilio's documentation (voice/media-streams/websocket-messages): `connected`, `start`, `media` …, `stop`; numbers are
strings; audio is μ-law at 8 kHz, one channel, each track in messages of its own.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amd_service.domain import AccountSid, CallSid, StreamSid, is_sid
from amd_service.errors import MalformedCallback

# For the WebSocket server. A message of Twilio's has some 400.
MOST_MESSAGE_BYTES = 64 * 1024
# The called party, as Twilio hears them.
INBOUND = "inbound"
MEDIA_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}

BYTES_PER_MS = 8
# μ-law for a sample of 0.
SILENCE = b"\xff"
# Timestamps wander by a few frames though nothing is missing.
JITTER_MS = 100
# With more than this missing, what is left is no longer the call.
FILL_MOST_MS = 1000


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Whose stream it is. Its format is the one we read, and the called party is on it.

    `key`: the parameter of this name that the TwiML gave the stream; None without.
    """

    account_sid: AccountSid
    call_sid: CallSid
    stream_sid: StreamSid
    key: str | None


@dataclass(frozen=True, slots=True)
class StreamMedia:
    """A piece of the called party's audio. `timestamp_ms`: since the stream began.

    `chunk` rises from piece to piece; whether it counts those of the other track too, the documentation says both.
    """

    stream_sid: str
    chunk: int
    timestamp_ms: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """Twilio has ended the stream, with the call or before."""


StreamEvent = StreamStarted | StreamMedia | StreamStopped


def parse_message(text: str) -> StreamEvent | None:
    """One message. Raises MalformedCallback for what is none, or lacks what its event must have.

    None for what does not concern us: greetings, the other track, marks, keys that were pressed, events yet to be
    invented.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCallback(f"a message that is not JSON: {error}") from error
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
        raise MalformedCallback(f"mediaFormat is {str(dict(media_format))[:200]}; {MEDIA_FORMAT} is what is read")
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
        raise MalformedCallback(f"a payload that is not base64: {error}") from error
    return StreamMedia(stream_sid, _number(media, "chunk"), _number(media, "timestamp"), audio)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedCallback(f"{name} is not an object")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedCallback(f"{name} is missing, or no text")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    digits = str(fields.get(name))
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise MalformedCallback(f"{name} is missing, or no number")
    return int(digits)


class Timeline:
    """Puts pieces of audio where they belong in time.

    What is missing after the first piece, by the timestamps, becomes silence, so that everything behind it stays where
    it was; what comes late, or twice, is left out.
    """

    def __init__(self) -> None:
        self._last_chunk = 0
        self._began_ms: int | None = None
        self._laid_bytes = 0
        self.filled_ms = 0

    def insert(self, media: StreamMedia) -> bytes:
        """The audio that comes next: silence for what is missing, then the piece; empty for one that is late.

        Raises MalformedCallback when more than a second is missing in all.
        """
        if media.chunk <= self._last_chunk:
            return b""
        gap = SILENCE * self._gap_bytes(media)
        self.filled_ms += len(gap) // BYTES_PER_MS
        self._last_chunk = media.chunk
        self._laid_bytes += len(gap) + len(media.audio)
        return gap + media.audio

    def _gap_bytes(self, media: StreamMedia) -> int:
        if self._began_ms is None:
            self._began_ms = media.timestamp_ms
        timed = (media.timestamp_ms - self._began_ms) * BYTES_PER_MS - self._laid_bytes
        # Chunks are of one length. Where those of the other track are counted too, this is more than is missing.
        counted = (media.chunk - self._last_chunk - 1) * len(media.audio)
        gap = timed if timed > JITTER_MS * BYTES_PER_MS else max(0, min(timed, counted))
        if self.filled_ms + gap // BYTES_PER_MS > FILL_MOST_MS:
            raise MalformedCallback(f"more than {FILL_MOST_MS} ms of audio are missing from the stream")
        return gap
