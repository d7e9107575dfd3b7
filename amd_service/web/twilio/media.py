"""Media Streams of calls in progress, over a WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from time import monotonic

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from amd_service.errors import InvalidSignature, MalformedCallback, Permanent, Retryable
from amd_service.operations.judge_stream import StreamOutcome
from amd_service.settings import Account, Settings
from amd_service.telemetry import get_logger
from amd_service.twilio import signature
from amd_service.twilio.media_streams import StreamEvent, parse_message
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import PUBLIC, DescribedRoute
from amd_service.web.api.schemas import ProblemShape
from amd_service.web.media_types import PROBLEM_JSON
from amd_service.web.problems import Problem
from amd_service.web.state import AppState, runtime_of, state_of
from amd_service.web.time_limits import TimeLimits

log = get_logger(__name__)

MEDIA_PATH = "/twilio/media"

_NORMAL, _POLICY = 1000, 1008


async def media(websocket: WebSocket) -> None:
    """WebSocket /twilio/media: one Media Stream, from its handshake to its verdict.

    Order of the checks:

    1. Verify the signature of the handshake. Only then accept the connection and count it against AMD_LIVE_STREAMS.
    2. Verify the key of the call in the start message. Only then use the audio.
    3. Release the slot when the verdict is stored, before the connection is closed. A peer that does not complete the
       close therefore holds no slot.
    """
    state = state_of(websocket)
    outcome = await _serve_stream(websocket, state)
    state.runtime.metrics.streams.labels(outcome).inc()
    is_fault = outcome in (StreamOutcome.MALFORMED, StreamOutcome.REFUSED)
    # A close before `accept` rejects the handshake with 403.
    await _close(websocket, _POLICY if is_fault else _NORMAL, state.time_limits.media_close_s)


async def _serve_stream(websocket: WebSocket, state: AppState) -> StreamOutcome:
    """Judge a stream and log its errors."""
    try:
        accounts = _verify_handshake(websocket, state.runtime.settings)
        with state.stream_limiter.try_acquire() as is_acquired:
            if is_acquired:
                return await _accept_and_judge(websocket, state, accounts)
            log.warning("stream rejected: AMD_LIVE_STREAMS reached")
            return StreamOutcome.AT_LIMIT
    except InvalidSignature as error:
        log.warning("stream refused", reason=str(error))
        return StreamOutcome.REFUSED
    except MalformedCallback as error:
        log.warning("invalid Media Streams message", reason=str(error))
        return StreamOutcome.MALFORMED
    except (Retryable, Permanent) as error:
        log.error("stream without a verdict", error=str(error))
    except Exception:  # a bug or an engine failure: count the stream as unjudged
        log.exception("stream without a verdict")
    return StreamOutcome.UNJUDGED


def _verify_handshake(websocket: WebSocket, settings: Settings) -> list[Account]:
    """Return the accounts whose token signed the handshake. Raises InvalidSignature."""
    if not settings.live:
        raise InvalidSignature("live detection is off: set AMD_LIVE=true")
    return signature.verify_handshake(
        settings.accounts,
        settings.public_url,
        raw_path=websocket.scope["raw_path"],
        query_string=websocket.scope["query_string"],
        headers=websocket.headers,
    )


async def _accept_and_judge(websocket: WebSocket, state: AppState, accounts: Sequence[Account]) -> StreamOutcome:
    try:
        await websocket.accept()
    except OSError:
        log.warning("stream closed before it was accepted")
        return StreamOutcome.BROKEN_OFF
    async with aclosing(_events(websocket, state.time_limits)) as events:
        return await state.stream_judge.judge(events, accounts)


async def _events(websocket: WebSocket, limits: TimeLimits) -> AsyncGenerator[StreamEvent, None]:
    """Yield the events of the stream. Raises MalformedCallback.

    Ends when the connection closes, after `media_idle_s` seconds without a message, or after `media_total_s` seconds.
    """
    ends_at = monotonic() + limits.media_total_s
    while (left_s := ends_at - monotonic()) > 0:
        await asyncio.sleep(0)  # `receive` returns at once if a message has arrived, so let other tasks run
        try:
            async with asyncio.timeout(min(limits.media_idle_s, left_s)):
                message = await websocket.receive()
        except TimeoutError:
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            raise MalformedCallback("a binary message: Media Streams contains only text messages")
        event = parse_message(text)
        if event is not None:
            yield event


async def _close(websocket: WebSocket, code: int, timeout_s: float) -> None:
    """Close the connection if it is still open. A call that was started with <Start><Stream> continues."""
    if websocket.client_state is WebSocketState.DISCONNECTED:
        return
    try:
        async with asyncio.timeout(timeout_s):
            await websocket.close(code)
    # RuntimeError: the server has already closed the connection, because a message was too large.
    except (WebSocketDisconnect, TimeoutError, RuntimeError):
        log.debug("stream already closed")


NO_UPGRADE = "this path accepts only WebSockets: check that the proxy forwards the `Upgrade` header"


async def missing_upgrade(request: Request) -> Response:
    """Refuse a GET /twilio/media without an upgrade to WebSocket. Responds 426, or 404 while AMD_LIVE is off."""
    if not runtime_of(request).settings.live:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    log.warning("stream refused", reason=NO_UPGRADE)
    raise Problem(HTTPStatus.UPGRADE_REQUIRED, NO_UPGRADE, {"upgrade": "websocket", "connection": "upgrade"})


ROUTES = (
    WebSocketRoute(MEDIA_PATH, media),
    DescribedRoute(
        MEDIA_PATH,
        missing_upgrade,
        get={
            **PUBLIC,
            "summary": "Media Streams over a WebSocket; a request without an upgrade to WebSocket is refused",
            "responses": {
                "101": {"description": "The WebSocket. Twilio signs its handshake."},
                **problems(HTTPStatus.NOT_FOUND, HTTPStatus.UPGRADE_REQUIRED),
                "default": response("Any other error.", ProblemShape, PROBLEM_JSON),
            },
        },
    ),
)
