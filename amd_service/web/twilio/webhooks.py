"""Webhooks for Twilio's callbacks: verify the signature, store the callback once, respond 204.

The webhooks depend only on the database.
"""

from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from amd_service.domain import RawCallback
from amd_service.errors import DatabaseLocked, DatabaseUnavailable, MalformedCallback
from amd_service.operations.receive_callback import Event
from amd_service.telemetry import get_logger
from amd_service.twilio import callbacks
from amd_service.web.api.openapi.responses import Json, problems, sid
from amd_service.web.api.openapi.route import SIGNED, DescribedRoute
from amd_service.web.media_types import FORM
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of
from amd_service.web.twilio.signed_request import (
    FORM_PROBLEMS,
    TAGGING_PARAMETERS,
    Pairs,
    measure_callback,
    read_signed_form,
    read_url_tagging,
)

log = get_logger(__name__)


async def receive_status(request: Request) -> Response:
    """POST /twilio/status: the state of a call changed."""
    return await _receive(request, "status", callbacks.parse_status)


async def receive_recording(request: Request) -> Response:
    """POST /twilio/recording: the state of a recording changed."""
    return await _receive(request, "recording", callbacks.parse_recording)


async def receive_amd(request: Request) -> Response:
    """POST /twilio/amd: the result of Twilio's asynchronous answering-machine detection."""
    return await _receive(request, "amd", callbacks.parse_amd)


async def _receive(request: Request, route: str, parse: Callable[[Pairs], Event]) -> Response:
    runtime = runtime_of(request)
    with measure_callback(runtime.metrics, route), runtime.traces.span(f"{route} callback", "server") as span:
        pairs = await read_signed_form(request)
        event = _parse(route, parse, pairs)
        span.set(call_sid=event.call_sid, recording_sid=getattr(event, "recording_sid", None))
        token = request.headers.get("i-twilio-idempotency-token")
        tagging = read_url_tagging(request, route)
        await _store(request, RawCallback(route, pairs, token, tagging, span.traceparent), event)
    # Twilio logs a warning for a body without a content type. A 204 response has no body.
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _parse(route: str, parse: Callable[[Pairs], Event], pairs: Pairs) -> Event:
    try:
        return parse(pairs)
    except MalformedCallback as error:
        log.warning("malformed callback", route=route, error=str(error))
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error


async def _store(request: Request, raw: RawCallback, event: Event) -> None:
    runtime = runtime_of(request)
    try:
        await runtime.inbox.receive(raw, event)
    except DatabaseLocked as error:
        detail = "another database session holds a lock on the table of callbacks; please retry"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail) from error
    except DatabaseUnavailable as error:  # Twilio retries after a 503
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is unavailable; please retry") from error


def _operation(summary: str, required: list[str]) -> Json:
    text = {"type": "string"}
    sids = {"AccountSid": sid("AC"), "CallSid": sid("CA"), "RecordingSid": sid("RE"), "ConferenceSid": sid("CF")}
    form = {"type": "object", "required": required, "properties": {name: sids.get(name, text) for name in required}}
    return {
        **SIGNED,
        "summary": summary,
        "description": "Twilio sends and signs the request. Configure this URL at Twilio. Unknown fields are stored.",
        "parameters": TAGGING_PARAMETERS,
        "requestBody": {"required": True, "content": {FORM: {"schema": form | {"additionalProperties": text}}}},
        "responses": {
            "204": {"description": "This request or an earlier identical request has stored the callback."},
            **problems(*FORM_PROBLEMS),
        },
    }


ROUTES = (
    DescribedRoute(
        "/twilio/status",
        receive_status,
        post=_operation("The state of a call changed", ["AccountSid", "CallSid", "CallStatus"]),
    ),
    DescribedRoute(
        "/twilio/recording",
        receive_recording,
        post=_operation(
            "The state of a recording changed; CallSid is optional for the recording of a conference",
            ["AccountSid", "RecordingSid", "RecordingStatus"],
        ),
    ),
    DescribedRoute(
        "/twilio/amd",
        receive_amd,
        post=_operation(
            "A result of Twilio's asynchronous answering-machine detection", ["AccountSid", "CallSid", "AnsweredBy"]
        ),
    ),
)
