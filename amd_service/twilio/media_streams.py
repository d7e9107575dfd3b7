"""Parse the messages of Twilio's Media Streams, and fill gaps in their audio.

Source: Twilio's documentation (voice/media-streams/websocket-messages). A stream sends `connected`, `start`, many
`media` messages and `stop`. Numbers are JSON strings. Audio is μ-law at 8 kHz with one channel. A `media` message has
audio of one track.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amd_service.domain import UNTAGGED, AccountSid, CallSid, StreamSid, Tagging, is_sid, read_tagging
from amd_service.errors import MalformedCallback
from amd_service.twilio.twiml import pairs_of_parameters

# Maximum size of a message for the WebSocket server. A message from Twilio has about 400 bytes.
MAX_MESSAGE_BYTES = 64 * 1024
# Track of the called party: the audio that Twilio receives from the phone.
INBOUND = "inbound"
MEDIA_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}

BYTES_PER_MS = 8
# One silent sample in μ-law.
SILENCE = b"\xff"
# Smaller gaps between timestamps are ignored. Timestamps vary by a few frames of 20 ms although no audio is missing.
JITTER_MS = 100
# A stream with more missing audio is refused, because its audio does not represent the call.
MAX_FILL_MS = 1000


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Start of a stream with a supported audio format and the called party's track.

    `key`, `tagging`: from the stream's parameters in the TwiML. `key` is None if absent.
    """

    account_sid: AccountSid
    call_sid: CallSid
    stream_sid: StreamSid
    key: str | None
    tagging: Tagging = UNTAGGED


@dataclass(frozen=True, slots=True)
class StreamMedia:
    """A chunk of the called party's audio. `timestamp_ms`: milliseconds since the start of the stream.

    `chunk`: a number that increases with each chunk. Twilio's documentation contradicts itself: the number counts
    either the chunks of one track or the chunks of all tracks.
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
    """Parse one message. Raises MalformedCallback for invalid JSON and for missing or invalid fields.

    Returns None for `connected`, `media` of the other track, `mark`, `dtmf` and unknown events, which are not needed.
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
        raise MalformedCallback(
            "accountSid, callSid and streamSid must be AC, CA and MZ, each with 32 hexadecimal digits"
        )
    given = start.get("customParameters")
    items = given.items() if isinstance(given, dict) else ()
    parameters = {name: value for name, value in items if isinstance(value, str)}
    # Our own TwiML wrote the parameters, so a name that is ignored here needs no log line.
    tagging, _ = read_tagging(pairs_of_parameters(parameters))
    return StreamStarted(AccountSid(sids[0]), CallSid(sids[1]), StreamSid(sids[2]), parameters.get("key"), tagging)


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
    """Keeps each chunk of a stream at its position in time.

    Timestamps show whether audio is missing after the first chunk. Missing audio is replaced by silence, so that later
    audio keeps its position. Late and repeated chunks are dropped. `filled_ms`: milliseconds of inserted silence.
    """

    def __init__(self) -> None:
        self._last_chunk = 0
        self._started_ms: int | None = None
        self._inserted_bytes = 0
        self.filled_ms = 0

    def insert(self, media: StreamMedia) -> bytes:
        """Return the audio to append: silence for missing audio, then the chunk.

        Returns no audio for a late or repeated chunk. Raises MalformedCallback if more than one second of audio is
        missing in total.
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
        # Chunk numbers also show missing audio, since all chunks have the same length. If the numbers also count the
        # other track, `counted` is larger than the gap.
        counted = (media.chunk - self._last_chunk - 1) * len(media.audio)
        gap = timed if timed > JITTER_MS * BYTES_PER_MS else max(0, min(timed, counted))
        if self.filled_ms + gap // BYTES_PER_MS > MAX_FILL_MS:
            raise MalformedCallback(f"more than {MAX_FILL_MS} ms of audio are missing from the stream")
        return gap
