"""Media Streams as Twilio opens them: a signed handshake, then a call's audio in frames of 20 ms."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from time import monotonic

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

FRAME_MS = 20
FRAME_BYTES = 160
SILENCE = b"\xff" * FRAME_BYTES
OPEN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class MediaStream:
    """A call that is streamed. `audio`: the called party, μ-law at 8 kHz.

    `pace`: how many times faster than real time; None: as fast as it is taken. `skipped` and `repeated`: chunks, from
    1, that get lost or come twice. `cut_after`: chunks after which the connection is lost without a word.
    `parameters`: what the TwiML's `<Parameter>`s say. `both_tracks`: the other party is streamed too, in silence;
    chunks are then counted over both, as Twilio's sample shows it.
    """

    account_sid: str
    audio: bytes
    call_sid: str = field(default_factory=lambda: f"CA{token_hex(16)}")
    stream_sid: str = field(default_factory=lambda: f"MZ{token_hex(16)}")
    pace: float | None = 1.0
    skipped: frozenset[int] = frozenset()
    repeated: frozenset[int] = frozenset()
    cut_after: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    both_tracks: bool = False

    def start(self) -> dict[str, object]:
        """The message that says whose stream it is."""
        body = {
            "accountSid": self.account_sid,
            "callSid": self.call_sid,
            "streamSid": self.stream_sid,
            "tracks": ["inbound", "outbound"] if self.both_tracks else ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(self.parameters),
        }
        return {"event": "start", "sequenceNumber": "1", "start": body, "streamSid": self.stream_sid}

    def chunks(self) -> Iterator[int]:
        """The chunks that are sent, in order."""
        count = -(-len(self.audio) // FRAME_BYTES)
        last = count if self.cut_after is None else min(count, self.cut_after)
        for chunk in range(1, last + 1):
            if chunk not in self.skipped:
                yield chunk
            if chunk in self.repeated:
                yield chunk

    def media(self, chunk: int) -> dict[str, object]:
        """A chunk as its message."""
        piece = self.audio[(chunk - 1) * FRAME_BYTES : chunk * FRAME_BYTES]
        return self._media("inbound", chunk, 2 * chunk if self.both_tracks else chunk, piece)

    def outbound(self, chunk: int) -> dict[str, object]:
        """What the other party says meanwhile."""
        return self._media("outbound", chunk, 2 * chunk - 1, SILENCE)

    def _media(self, track: str, chunk: int, number: int, piece: bytes) -> dict[str, object]:
        body = {
            "track": track,
            "chunk": str(number),
            "timestamp": str((chunk - 1) * FRAME_MS),
            "payload": b64encode(piece).decode(),
        }
        return {"event": "media", "sequenceNumber": str(number + 1), "media": body, "streamSid": self.stream_sid}

    def stop(self) -> dict[str, object]:
        """The last message."""
        body = {"accountSid": self.account_sid, "callSid": self.call_sid}
        return {"event": "stop", "sequenceNumber": "0", "stop": body, "streamSid": self.stream_sid}


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How a stream fared. `refused`: the HTTP status of a refused handshake. `close_code`: of the service's close.

    `sent`: chunks that were sent before the end; `lasted_s`: from the handshake on.
    """

    refused: int | None = None
    close_code: int | None = None
    sent: int = 0
    lasted_s: float = 0.0


async def send_stream(url: str, stream: MediaStream, *, token: str, signed_url: str | None = None) -> StreamResult:
    """Stream to the WebSocket at `url` until the service closes it, or the audio ends and it closes then.

    `signed_url`: the one Twilio was given, where it differs.
    """
    signature = RequestValidator(token).compute_signature(signed_url or url, {})
    began = monotonic()
    try:
        async with connect(
            url,
            additional_headers={"X-Twilio-Signature": signature},
            user_agent_header="TwilioProxy/1.1",
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
        ) as connection:
            sent = await _send(connection, stream)
            await connection.wait_closed()
    except InvalidStatus as error:
        return StreamResult(refused=error.response.status_code)
    return StreamResult(None, connection.close_code, sent, monotonic() - began)


async def _send(connection: ClientConnection, stream: MediaStream) -> int:
    sent = 0
    try:
        await connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await connection.send(json.dumps(stream.start()))
        async for chunk in _paced(stream):
            if stream.both_tracks:
                await connection.send(json.dumps(stream.outbound(chunk)))
            await connection.send(json.dumps(stream.media(chunk)))
            sent += 1
        if stream.cut_after is None:
            await connection.send(json.dumps(stream.stop()))
        else:
            connection.transport.abort()
    except ConnectionClosed:
        pass  # it has its verdict
    return sent


async def _paced(stream: MediaStream) -> AsyncIterator[int]:
    """The chunks, each when its last sample has been spoken."""
    began = monotonic()
    for chunk in stream.chunks():
        if stream.pace is not None:
            await asyncio.sleep(began + chunk * FRAME_MS / 1000 / stream.pace - monotonic())
        yield chunk
