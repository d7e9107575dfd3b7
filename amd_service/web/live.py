"""The doors for calls that are up: TwiML that starts a stream, and the WebSocket that takes it to its verdict."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from enum import StrEnum
from http import HTTPStatus
from time import monotonic

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from structlog.contextvars import bound_contextvars

from amd_service.calls.streams import Stream, settle_stream
from amd_service.detector.live import LiveListening
from amd_service.domain import Action, Label, StreamSid, Verdict
from amd_service.errors import DatabaseUnavailable, MalformedCallback, Permanent, Retryable, SignatureRefused
from amd_service.runtime import Runtime
from amd_service.settings import Account
from amd_service.telemetry import get_logger
from amd_service.twilio import signature
from amd_service.twilio.media_streams import Event, Media, Started, Stopped, Timeline, parse_message
from amd_service.twilio.twiml import stream_twiml
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of
from amd_service.web.webhooks import signed_form

log = get_logger(__name__)

MEDIA_PATH = "/twilio/media"
IDLE_S = 15.0  # Twilio sends 50 messages a second, in silence too
STREAM_S = 60.0  # a verdict needs a third of it; the rest is for a model that is still loading
VERDICT_S = 30.0  # more, for a model that has windows of others before it; then the call has moved on

_NORMAL, _POLICY = 1000, 1008


class Outcome(StrEnum):
    """How a stream ended, as it is counted."""

    VERDICT = "verdict"
    BROKEN_OFF = "broken_off"
    UNJUDGED = "unjudged"
    NOT_STORED = "not_stored"
    UNUSED = "unused"
    MALFORMED = "malformed"
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"


async def stream_xml(request: Request) -> Response:
    """GET and POST /twilio/stream.xml: the TwiML of a call that is to be listened to."""
    runtime = runtime_of(request)
    settings = runtime.settings
    if not settings.live:
        raise Problem(HTTPStatus.NOT_FOUND, "live listening is off: set AMD_LIVE=true")
    try:
        await _require_twilio(request, runtime)
    except Problem as problem:
        runtime.metrics.callbacks.labels("stream", f"refused_{problem.status.value}").inc()
        raise
    runtime.metrics.callbacks.labels("stream", "answered").inc()
    assert settings.public_url is not None  # without it no signature fits
    twiml = stream_twiml(signature.stream_url(settings.public_url, MEDIA_PATH), settings.live_next_url)
    return Response(twiml, media_type="text/xml")


async def _require_twilio(request: Request, runtime: Runtime) -> None:
    if request.method == "POST":
        await signed_form(request, runtime)
        return
    try:
        signature.verify_get(
            runtime.settings.accounts,
            runtime.settings.public_url,
            raw_path=request.scope["raw_path"],
            query_string=request.scope["query_string"],
            headers=request.headers,
        )
    except SignatureRefused as error:
        log.warning("request for TwiML refused", reason=str(error))
        raise Problem(HTTPStatus.FORBIDDEN, "the request is not signed as Twilio signs for this service") from error


class StreamPlaces:
    """How many streams this process listens to at once."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Hold a place; False where there is none."""
        if self._free <= 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1


async def media(websocket: WebSocket) -> None:
    """WebSocket /twilio/media: one Media Stream, from its handshake to its verdict.

    Its signature is its key: nothing is accepted, and no place is held, before that is verified.
    """
    runtime: Runtime = websocket.app.state.runtime
    places: StreamPlaces = websocket.app.state.stream_places
    try:
        accounts = _signed_by(websocket, runtime)
    except SignatureRefused as error:
        log.warning("stream refused", reason=str(error))
        runtime.metrics.streams.labels(Outcome.REFUSED).inc()
        await websocket.close()  # before it was accepted: the server answers 403
        return
    with places.one() as is_free:
        if is_free:
            outcome = await _attend(websocket, runtime, accounts)
        else:
            log.warning("stream turned away: AMD_LIVE_STREAMS are being listened to")
            outcome = Outcome.TURNED_AWAY
            await websocket.close()
    runtime.metrics.streams.labels(outcome).inc()


def _signed_by(websocket: WebSocket, runtime: Runtime) -> list[Account]:
    if not runtime.settings.live:
        raise SignatureRefused("live listening is off: set AMD_LIVE=true")
    return signature.verify_handshake(
        runtime.settings.accounts,
        runtime.settings.public_url,
        raw_path=websocket.scope["raw_path"],
        query_string=websocket.scope["query_string"],
        headers=websocket.headers,
    )


async def _attend(websocket: WebSocket, runtime: Runtime, accounts: Sequence[Account]) -> Outcome:
    """Accept a stream and see it to its end."""
    await websocket.accept()
    with runtime.metrics.live_streams.track_inprogress():
        try:
            async with aclosing(_events(websocket)) as events:
                outcome = await _take(events, runtime, accounts)
        except MalformedCallback as error:
            log.warning("stream ended: it makes no sense", reason=str(error))
            outcome = Outcome.MALFORMED
        await _close(websocket, _POLICY if outcome is Outcome.MALFORMED else _NORMAL)
    return outcome


async def _take(events: AsyncGenerator[Event, None], runtime: Runtime, accounts: Sequence[Account]) -> Outcome:
    """One stream: who it is, its verdict, its rows. Raises MalformedCallback."""
    started = await _start(events, accounts)
    if started is None:
        log.warning("stream broke off before it began")
        return Outcome.BROKEN_OFF
    began = monotonic()
    with bound_contextvars(call_sid=started.call_sid, stream_sid=started.stream_sid):
        log.info("stream began")
        try:
            async with asyncio.timeout(STREAM_S + VERDICT_S):
                verdict, is_whole = await _hear_out(events, started.stream_sid, LiveListening(runtime.detector))
        except (Retryable, Permanent, TimeoutError) as error:
            reason = str(error) or "the model did not come to it in time"
            log.error("stream without a verdict; its recording, if there is one, will be judged", error=reason)
            return Outcome.UNJUDGED
        stream = Stream(started.account_sid, started.call_sid, started.stream_sid, monotonic() - began, whole=is_whole)
        # A connection that was lost says nothing about the call: what little was heard is kept, but not acted upon.
        return await _settle(runtime, stream, verdict, runtime.settings.actions if is_whole else {})


async def _start(events: AsyncGenerator[Event, None], accounts: Sequence[Account]) -> Started | None:
    async for event in events:
        match event:
            case Started():
                if all(account.account_sid != event.account_sid for account in accounts):
                    raise MalformedCallback(f"the handshake was not signed by {event.account_sid}, whose stream it is")
                return event
            case Media() | Stopped():
                raise MalformedCallback("the stream began without its start message")
    return None


async def _hear_out(
    events: AsyncGenerator[Event, None], stream_sid: StreamSid, listening: LiveListening
) -> tuple[Verdict, bool]:
    """The verdict, and whether the stream was heard as far as it, or to its end.

    Raises MalformedCallback; ClassifierUnavailable, QueueFull, ModelFailed, Undecodable.
    """
    timeline = Timeline()
    async for event in events:
        match event:
            case Media():
                if event.stream_sid != stream_sid:
                    raise MalformedCallback("media of another stream")
                verdict = await listening.hear(timeline.place(event))
                if verdict is not None:
                    return verdict, True
            case Stopped():
                return await listening.finish(), True
            case Started():
                raise MalformedCallback("a second start message")
    return await listening.finish(), False


async def _settle(runtime: Runtime, stream: Stream, verdict: Verdict, wanted: Mapping[Label, Action]) -> Outcome:
    try:
        async with runtime.database.transaction() as session:
            new = await settle_stream(session, stream, verdict, wanted)
    except DatabaseUnavailable as error:
        log.error("live verdict not stored; the recording, if there is one, will be judged", error=str(error))
        return Outcome.NOT_STORED
    log.info("live verdict", label=verdict.label, reason=verdict.reason, seconds=round(stream.lasted_s, 2), new=new)
    if not new:
        return Outcome.UNUSED
    runtime.metrics.verdicts.labels(verdict.label, verdict.reason).inc()
    return Outcome.VERDICT if stream.whole else Outcome.BROKEN_OFF


async def _events(websocket: WebSocket) -> AsyncGenerator[Event, None]:
    """The stream's messages, until the connection ends, falls silent, or has been up for long enough.

    Raises MalformedCallback.
    """
    ends_at = monotonic() + STREAM_S
    while (left_s := ends_at - monotonic()) > 0:
        try:
            async with asyncio.timeout(min(IDLE_S, left_s)):
                message = await websocket.receive()
        except TimeoutError:
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            raise MalformedCallback("a binary message; Media Streams send text")
        yield parse_message(text)


async def _close(websocket: WebSocket, code: int) -> None:
    """End the connection if it is there. A call started with <Start><Stream> goes on."""
    if websocket.client_state is WebSocketState.CONNECTED:
        try:
            await websocket.close(code)
        except WebSocketDisconnect:
            log.debug("stream was gone before it was closed")
