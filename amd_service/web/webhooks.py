"""The door for Twilio: verify, store once, answer 204. Depends on the database alone."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from structlog.contextvars import bound_contextvars

from amd_service.calls import intake
from amd_service.calls.privacy import NumberPolicy
from amd_service.domain import RawCallback
from amd_service.errors import DatabaseUnavailable, MalformedCallback, SignatureRefused
from amd_service.runtime import Runtime
from amd_service.telemetry import get_logger
from amd_service.twilio import callbacks, signature
from amd_service.web.body import read_body
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

log = get_logger(__name__)

FORM = "application/x-www-form-urlencoded"
BODY_TIMEOUT_S = 5.0  # Twilio's whole budget is 15 s, and a callback is under 4 KiB

Pairs = tuple[tuple[str, str], ...]
Take = Callable[[AsyncSession, RawCallback, NumberPolicy], Awaitable[bool]]


async def receive_status(request: Request) -> Response:
    """POST /twilio/status: a call changed its state."""
    return await _receive(request, "status", _take_status)


async def receive_recording(request: Request) -> Response:
    """POST /twilio/recording: a recording changed its state."""
    return await _receive(request, "recording", _take_recording)


def _take_status(pairs: Pairs) -> Take:
    status = callbacks.parse_status(pairs)
    return lambda session, raw, numbers: intake.take_status(session, raw, status, numbers)


def _take_recording(pairs: Pairs) -> Take:
    recording = callbacks.parse_recording(pairs)
    return lambda session, raw, numbers: intake.take_recording(session, raw, recording, numbers)


async def _receive(request: Request, route: str, parse: Callable[[Pairs], Take]) -> Response:
    runtime = runtime_of(request)
    try:
        new = await _store(request, runtime, route, parse)
    except Problem as problem:
        runtime.metrics.callbacks.labels(route, f"refused_{problem.status.value}").inc()
        raise
    runtime.metrics.callbacks.labels(route, "stored" if new else "duplicate").inc()
    # Twilio logs a warning for a body without a content type; 204 has neither.
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _store(request: Request, runtime: Runtime, route: str, parse: Callable[[Pairs], Take]) -> bool:
    pairs = await _signed_form(request, runtime)
    try:
        take = parse(pairs)
    except MalformedCallback as error:
        log.warning("malformed callback", route=route, error=str(error))
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error
    raw = RawCallback(route, pairs, request.headers.get("i-twilio-idempotency-token"))
    sids = {"call_sid": dict(pairs).get("CallSid"), "recording_sid": dict(pairs).get("RecordingSid")}
    with bound_contextvars(**{name: sid for name, sid in sids.items() if sid}):
        try:
            async with runtime.database.transaction() as session:
                new = await take(session, raw, NumberPolicy.from_settings(runtime.settings))
        except DatabaseUnavailable as error:
            log.error("callback not stored, asking Twilio to retry", route=route, error=str(error))
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away; please retry") from error
        log.info("callback", route=route, new=new)
        return new


async def _signed_form(request: Request, runtime: Runtime) -> Pairs:
    """The request's form, once it is proven to be Twilio's. Nothing of it is looked at before."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
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
        log.warning("callback refused", path=request.scope["path"], reason=str(error))
        raise Problem(HTTPStatus.FORBIDDEN, "the request is not signed as Twilio signs for this service") from error
    return pairs
