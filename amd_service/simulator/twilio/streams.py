"""Sends Media Streams like Twilio: a signed handshake, then a call's audio in frames of 20 ms."""

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
    """The stream of a call. `audio`: the called party's audio, μ-law at 8 kHz.

    `pace`: how many times faster than real time; if None, as fast as the service reads. `skipped`: numbers of the
    chunks that are lost. `repeated`: numbers of the chunks that are sent twice. Chunk numbers start at 1. `cut_after`:
    number of chunks before the connection is aborted. `parameters`: names and values of the TwiML's `<Parameter>`
    elements. `both_tracks`: also stream the other party, as silence. The chunk numbers in the messages then count both
    tracks, as in Twilio's sample.
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
        """Return the start message with the stream's call, account and format."""
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
        """Return the numbers of the chunks to send, in order."""
        count = -(-len(self.audio) // FRAME_BYTES)
        last = count if self.cut_after is None else min(count, self.cut_after)
        for chunk in range(1, last + 1):
            if chunk not in self.skipped:
                yield chunk
            if chunk in self.repeated:
                yield chunk

    def media(self, chunk: int) -> dict[str, object]:
        """Return the media message with one chunk of the called party's audio."""
        piece = self.audio[(chunk - 1) * FRAME_BYTES : chunk * FRAME_BYTES]
        return self._media("inbound", chunk, 2 * chunk if self.both_tracks else chunk, piece)

    def outbound(self, chunk: int) -> dict[str, object]:
        """Return the media message with the other party's silence during the same chunk."""
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
        """Return the stop message, which is the last message."""
        body = {"accountSid": self.account_sid, "callSid": self.call_sid}
        return {"event": "stop", "sequenceNumber": "0", "stop": body, "streamSid": self.stream_sid}


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How a stream ended. `refused`: HTTP status of a rejected handshake.

    `close_code`: WebSocket close code from the service. `sent`: number of chunks sent. `lasted_s`: seconds from the
    start of the handshake to the close.
    """

    refused: int | None = None
    close_code: int | None = None
    sent: int = 0
    lasted_s: float = 0.0


async def send_stream(url: str, stream: MediaStream, *, token: str, signed_url: str | None = None) -> StreamResult:
    """Stream to the WebSocket at `url` until the audio ends or the service closes the stream.

    `signed_url`: the URL to sign, if it differs from `url`.
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
        pass  # the service closes the stream when it has a verdict
    return sent


async def _paced(stream: MediaStream) -> AsyncIterator[int]:
    """Yield each chunk number at the time of the last sample of the chunk."""
    began = monotonic()
    for chunk in stream.chunks():
        if stream.pace is not None:
            await asyncio.sleep(began + chunk * FRAME_MS / 1000 / stream.pace - monotonic())
        yield chunk
