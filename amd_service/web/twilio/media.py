"""The door for calls that are up: a WebSocket that takes a stream to its verdict."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from enum import StrEnum
from time import monotonic
from typing import TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from structlog.contextvars import bind_contextvars

from amd_service.calls.streams import Stream, settle_stream
from amd_service.detection.live_stream import LiveStream
from amd_service.domain import Action, Label, StreamSid, Verdict
from amd_service.errors import (
    ClassifierUnavailable,
    DatabaseUnavailable,
    MalformedCallback,
    Permanent,
    Retryable,
    SignatureRefused,
)
from amd_service.runtime import Runtime
from amd_service.settings import Account
from amd_service.telemetry import get_logger
from amd_service.twilio import signature
from amd_service.twilio.media_streams import Event, Media, Started, Stopped, Timeline, parse_message
from amd_service.twilio.stream_keys import verify_stream_key
from amd_service.web.limiter import Limiter

log = get_logger(__name__)

MEDIA_PATH = "/twilio/media"
IDLE_S = 15.0  # Twilio sends 50 messages a second, in silence too
STREAM_S = 60.0  # a verdict needs a third of it; the rest is for a model that is still loading
VERDICT_S = 30.0  # for a model that has windows of others before it; then the call has moved on
CLOSE_S = 5.0  # for a peer that does not take what it is sent

_NORMAL, _POLICY = 1000, 1008

Answer = TypeVar("Answer")


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


async def media(websocket: WebSocket) -> None:
    """WebSocket /twilio/media: one Media Stream, from its handshake to its verdict.

    Nothing is accepted, and no place is held, before the handshake's signature is verified; nothing is heard before
    the stream has shown its call's key. The place is free again once the verdict is stored; a peer that then does not
    let itself be closed holds none.
    """
    runtime: Runtime = websocket.app.state.runtime
    outcome = await _outcome(websocket, runtime)
    runtime.metrics.streams.labels(outcome).inc()
    # What was never accepted is answered 403 by this.
    await _close(websocket, _POLICY if outcome in (Outcome.MALFORMED, Outcome.REFUSED) else _NORMAL)


async def _outcome(websocket: WebSocket, runtime: Runtime) -> Outcome:
    """See a stream to its end, whatever that is."""
    places: Limiter = websocket.app.state.stream_places
    try:
        accounts = _signed_by(websocket, runtime)
        with places.one() as is_free:
            if not is_free:
                log.warning("stream turned away: AMD_LIVE_STREAMS are being listened to")
                return Outcome.TURNED_AWAY
            return await _attend(websocket, runtime, accounts)
    except SignatureRefused as error:
        log.warning("stream refused", reason=str(error))
        return Outcome.REFUSED
    except MalformedCallback as error:
        log.warning("stream ended: it makes no sense", reason=str(error))
        return Outcome.MALFORMED
    except (Retryable, Permanent) as error:
        log.error("stream without a verdict; its recording, if there is one, will be judged", error=str(error))
    except Exception:  # a bug, or an engine that failed, is a stream's end, and counted as one
        log.exception("stream without a verdict; its recording, if there is one, will be judged")
    return Outcome.UNJUDGED


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
    """Accept a stream and hear it. Raises SignatureRefused, and as `_judge` does."""
    try:
        await websocket.accept()
    except OSError:
        log.warning("stream broke off before it was accepted")
        return Outcome.BROKEN_OFF
    with runtime.metrics.live_streams.track_inprogress():
        async with aclosing(_events(websocket)) as events:
            started = await _start(events, accounts)
            if started is None:
                log.warning("stream broke off before it began")
                return Outcome.BROKEN_OFF
            # For good: a connection has a task, and so a context, of its own. What goes wrong is logged with them, too.
            bind_contextvars(call_sid=started.call_sid, stream_sid=started.stream_sid)
            log.info("stream began")
            return await _judge(events, runtime, started)


async def _judge(events: AsyncGenerator[Event, None], runtime: Runtime, started: Started) -> Outcome:
    """Hear a stream out and settle it. Raises MalformedCallback, Retryable, Permanent, and whatever an engine does."""
    began = monotonic()
    timeline = Timeline()
    verdict, is_whole = await _hear_out(events, started.stream_sid, timeline, LiveStream(runtime.detector))
    log.info("stream heard out", whole=is_whole, filled_ms=timeline.filled_ms)
    stream = Stream(started.account_sid, started.call_sid, started.stream_sid, monotonic() - began, whole=is_whole)
    return await _settle(runtime, stream, verdict, _wanted(runtime, stream, verdict))


def _wanted(runtime: Runtime, stream: Stream, verdict: Verdict) -> Mapping[Label, Action]:
    """What may be done after a verdict: nothing where it comes long after what it rests on.

    The model was loading then, or had others before it, and the call has moved on.
    """
    heard_s = max((run.window_start_ms + run.window_ms for run in verdict.runs), default=0) / 1000
    return {} if stream.lasted_s - heard_s > VERDICT_S else runtime.settings.actions


async def _start(events: AsyncGenerator[Event, None], accounts: Sequence[Account]) -> Started | None:
    async for event in events:
        match event:
            case Started():
                account = next((each for each in accounts if each.account_sid == event.account_sid), None)
                if account is None:
                    raise SignatureRefused(f"the handshake was not signed by {event.account_sid}, whose stream it is")
                verify_stream_key(account, event.call_sid, event.key)
                return event
            case Media() | Stopped():
                raise MalformedCallback("the stream began without its start message")
    return None


async def _hear_out(
    events: AsyncGenerator[Event, None], stream_sid: StreamSid, timeline: Timeline, stream: LiveStream
) -> tuple[Verdict, bool]:
    """The verdict, and whether the stream was heard as far as it, or to its end.

    Raises MalformedCallback; ClassifierUnavailable, ModelFailed, Undecodable.
    """
    async for event in events:
        match event:
            case Media():
                if event.stream_sid != stream_sid:
                    raise MalformedCallback("media of another stream")
                verdict = await _in_time(stream.feed(timeline.place(event)))
                if verdict is not None:
                    return verdict, True
            case Stopped():
                return await _in_time(stream.finish()), True
            case Started():
                raise MalformedCallback("a second start message")
    return await _in_time(stream.finish()), False


async def _in_time(answer: Awaitable[Answer]) -> Answer:
    """What the model says, while somebody still wants to know. Raises ClassifierUnavailable."""
    try:
        async with asyncio.timeout(VERDICT_S):
            return await answer
    except TimeoutError as error:
        raise ClassifierUnavailable(f"the model did not come to it within {VERDICT_S:g} s") from error


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
        await asyncio.sleep(0)  # what has arrived is handed out at once: others must have their turn in between
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
        event = parse_message(text)
        if event is not None:
            yield event


async def _close(websocket: WebSocket, code: int) -> None:
    """End the connection if it is there. A call started with <Start><Stream> goes on."""
    if websocket.client_state is WebSocketState.DISCONNECTED:
        return
    try:
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(code)
    # RuntimeError: the server has closed it already, because of a message that was too large.
    except (WebSocketDisconnect, TimeoutError, RuntimeError):
        log.debug("stream was gone before it was closed")
