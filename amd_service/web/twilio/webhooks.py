"""The door for Twilio: verify, store once, answer 204. Depends on the database alone."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from structlog.contextvars import bound_contextvars

from amd_service.calls import intake
from amd_service.calls.known_values import unknown_values
from amd_service.calls.privacy import NumberPolicy
from amd_service.domain import AmdCallback, RawCallback, RecordingCallback, StatusCallback
from amd_service.errors import CallbackRefused, DatabaseUnavailable, MalformedCallback, SignatureRefused
from amd_service.runtime import Runtime
from amd_service.telemetry import get_logger
from amd_service.twilio import callbacks, signature
from amd_service.web.body import media_type, read_body
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

log = get_logger(__name__)

FORM = "application/x-www-form-urlencoded"
BODY_TIMEOUT_S = 5.0  # Twilio's whole budget is 15 s, and a callback is under 4 KiB

Event = TypeVar("Event", StatusCallback, RecordingCallback, AmdCallback)
Pairs = tuple[tuple[str, str], ...]
Parse = Callable[[Pairs], Event]
Take = Callable[[AsyncSession, RawCallback, Event, NumberPolicy], Awaitable[bool]]


async def receive_status(request: Request) -> Response:
    """POST /twilio/status: a call changed its state."""
    return await _receive(request, "status", callbacks.parse_status, intake.store_status)


async def receive_recording(request: Request) -> Response:
    """POST /twilio/recording: a recording changed its state."""
    return await _receive(request, "recording", callbacks.parse_recording, intake.store_recording)


async def receive_amd(request: Request) -> Response:
    """POST /twilio/amd: Twilio's own asynchronous detection has a result."""
    return await _receive(request, "amd", callbacks.parse_amd, intake.store_amd)


async def _receive(request: Request, route: str, parse: Parse[Event], take: Take[Event]) -> Response:
    metrics = runtime_of(request).metrics
    try:
        pairs = await signed_form(request, runtime_of(request))
        event = _parsed(route, parse, pairs)
        raw = RawCallback(route, pairs, request.headers.get("i-twilio-idempotency-token"))
        new = await _store(runtime_of(request), raw, event, take)
    except Problem as problem:
        metrics.callbacks.labels(route, f"refused_{problem.status.value}").inc()
        raise
    metrics.callbacks.labels(route, _outcome(event, new)).inc()
    for parameter in unknown_values(event) if new else ():
        metrics.unknown_values.labels(parameter).inc()
    # Twilio logs a warning for a body without a content type; 204 has neither.
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _parsed(route: str, parse: Parse[Event], pairs: Pairs) -> Event:
    try:
        return parse(pairs)
    except MalformedCallback as error:
        log.warning("malformed callback", route=route, error=str(error))
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error


async def _store(runtime: Runtime, raw: RawCallback, event: Event, take: Take[Event]) -> bool:
    sids = {"call_sid": event.call_sid, "recording_sid": getattr(event, "recording_sid", None)}
    with bound_contextvars(**{name: sid for name, sid in sids.items() if sid}):
        try:
            async with runtime.database.transaction() as session:
                new = await take(session, raw, event, runtime.numbers)
        except DatabaseUnavailable as error:
            log.error("callback not stored, asking Twilio to retry", route=raw.route, error=str(error))
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away; please retry") from error
        log.info("callback", route=raw.route, new=new)
        return new


def _outcome(event: StatusCallback | RecordingCallback | AmdCallback, new: bool) -> str:
    """What a callback that was taken is counted as."""
    if not new:
        return "duplicate"
    return "stored" if event.call_sid else "stored_without_call"


async def signed_form(request: Request, runtime: Runtime) -> Pairs:
    """The request's form, once it is proven to be Twilio's. Nothing of it is looked at before."""
    if media_type(request) != FORM:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"callbacks are sent as {FORM}")
    body = await read_body(request, runtime.settings.max_callback_bytes, timeout_s=BODY_TIMEOUT_S)
    try:
        pairs = callbacks.parse_form(body)
        signature.verify(
            runtime.settings.accounts,
            public_url=runtime.settings.public_url,
            raw_path=request.scope["raw_path"],
            query_string=request.scope["query_string"],
            form=pairs,
            headers=request.headers,
        )
    except (SignatureRefused, MalformedCallback) as error:
        raise _refusal(request, error) from error
    return pairs


def signed_query(request: Request, runtime: Runtime) -> Pairs:
    """The query of a GET, once it is proven to be Twilio's."""
    try:
        signature.verify_get(
            runtime.settings.accounts,
            runtime.settings.public_url,
            raw_path=request.scope["raw_path"],
            query_string=request.scope["query_string"],
            headers=request.headers,
        )
    except SignatureRefused as error:
        raise _refusal(request, error) from error
    return tuple(request.query_params.multi_items())


def _refusal(request: Request, error: CallbackRefused) -> Problem:
    log.warning("callback refused", path=request.scope["path"], reason=str(error))
    return Problem(HTTPStatus.FORBIDDEN, "the request is not signed as Twilio signs for this service")
