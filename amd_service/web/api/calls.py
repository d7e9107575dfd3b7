"""Read and place calls."""

from http import HTTPStatus

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.domain import AccessScope, CallSid, is_sid
from amd_service.errors import (
    AmdError,
    DatabaseUnavailable,
    IdempotencyKeyInUse,
    NotAllowed,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
    TwilioUnavailable,
)
from amd_service.operations.read_call import read_call
from amd_service.twilio.call_request import CallRequest, describe_faults
from amd_service.web.api.idempotency import key_parameter, read_key
from amd_service.web.api.openapi.responses import Json, problems, response, sid
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.schemas import StartedAnswer
from amd_service.web.authentication import LOCAL_CLIENT, principal_of
from amd_service.web.body import read_json
from amd_service.web.masking import masked_json
from amd_service.web.media_types import JSON
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

# TwiML may have 4000 characters. The limit for the request body is large enough even if JSON escapes every character.
MAX_REQUEST_BYTES = 64 * 1024

# Twilio's error codes for invalid numbers and call parameters. All other codes concern the account or this service.
# Source: https://www.twilio.com/docs/api/errors
CALLER_ERRORS = range(21000, 22000)


async def get_call(request: Request) -> JSONResponse:
    """GET /api/calls/{sid}: the `call_log` row of a call, with its recordings and verdicts."""
    call_sid = call_sid_of(request)
    call = await read_call(runtime_of(request).database, call_sid)
    if call is None:
        raise unknown_call(call_sid)
    return JSONResponse(masked_json(call, principal_of(request)))


def call_sid_of(request: Request) -> CallSid:
    """Return the CallSid in the path. Raises Problem 422 for an invalid CallSid."""
    call_sid = request.path_params["sid"]
    if not is_sid(call_sid, "CA"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "a call SID is CA followed by 32 hexadecimal digits")
    return CallSid(call_sid)


def unknown_call(call_sid: CallSid) -> Problem:
    """Return the problem of a call that this service does not know."""
    return Problem(HTTPStatus.NOT_FOUND, f"no callback of call {call_sid} has arrived yet")


async def start_call(request: Request) -> JSONResponse:
    """POST /api/calls: place a call.

    Responds 201 for a new call. Responds 200 when an earlier request with the same Idempotency-Key placed the call.
    """
    runtime = runtime_of(request)
    if principal_of(request) is LOCAL_CLIENT:
        detail = "placing a call requires an API key, also for a request from this machine: set AMD_API_KEYS"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    key = read_key(request.headers)
    call_request = await _read_call_request(request)
    try:
        started = await runtime.call_placer.start(call_request, key)
    except AmdError as error:
        raise _problem_for(error) from error
    placed = StartedAnswer(call_sid=started.call_sid, call_status=started.status, replayed=started.replayed)
    return JSONResponse(
        placed.model_dump(mode="json"),
        status_code=HTTPStatus.OK if started.replayed else HTTPStatus.CREATED,
        headers={"location": f"/api/calls/{started.call_sid}"},
    )


async def _read_call_request(request: Request) -> CallRequest:
    body = await read_json(request, MAX_REQUEST_BYTES, timeout_s=state_of(request).time_limits.call_request_body_s)
    try:
        return CallRequest.model_validate_json(body, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        is_json = all(fault["type"] != "json_invalid" for fault in faults)
        if not is_json:
            raise Problem(HTTPStatus.BAD_REQUEST, describe_faults(faults)) from error
        runtime_of(request).call_placer.report_invalid(describe_faults(faults))
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, describe_faults(faults)) from error


def _problem_for(error: AmdError) -> Problem:
    """Convert an error to a problem. Raises every other error unchanged."""
    match error:
        case NotAllowed():
            return Problem(HTTPStatus.FORBIDDEN, str(error))
        case IdempotencyKeyInUse():
            return Problem(HTTPStatus.CONFLICT, str(error))
        case TooManyCalls():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after_s=error.retry_after_s)
        case RequestRefused(code=code) if code is None or code in CALLER_ERRORS:
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case RequestRefused():
            return Problem(HTTPStatus.BAD_GATEWAY, str(error))
        case OutcomeUnknown():
            return Problem(HTTPStatus.GATEWAY_TIMEOUT, str(error))
        case TwilioUnavailable():
            detail = f"no call was placed; send the same request again: {error}"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=error.retry_after_s or 5)
        case DatabaseUnavailable():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is unavailable", retry_after_s=2)
        case _:
            raise error


CALL_SID: Json = {
    "name": "sid",
    "in": "path",
    "required": True,
    "description": "Twilio's CallSid of the call.",
    "schema": sid("CA"),
}
IDEMPOTENCY_KEY = key_parameter(
    "The client chooses one key for each call. A repeated request with the same key places no second call and gets the "
    "response of the first request. A different request with the same key is refused. The service keeps keys for a "
    "week. Without a key every request places a call."
)
LOCATION: Json = {"headers": {"Location": {"schema": {"type": "string"}, "description": "URL of the call."}}}

ROUTES = (
    DescribedRoute(
        "/api/calls",
        start_call,
        needs=AccessScope.CALL,
        post={
            "summary": "Place a call",
            "description": "Place a call to an allowed number (AMD_DIAL_PREFIXES). Twilio records the call and reports "
            "the call to this service. An API key is always required. After a 504 the call may have been placed: check "
            "Twilio's list of calls before you send the request again.",
            "parameters": [IDEMPOTENCY_KEY],
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{CallRequest.__name__}"}}},
            },
            "responses": {
                "201": response("The call was placed.", StartedAnswer) | LOCATION,
                "200": response("An earlier request with the same Idempotency-Key placed the call.", StartedAnswer)
                | LOCATION,
                **problems(
                    *NO_ACCESS,
                    HTTPStatus.BAD_REQUEST,
                    HTTPStatus.REQUEST_TIMEOUT,
                    HTTPStatus.CONFLICT,
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    HTTPStatus.TOO_MANY_REQUESTS,
                    HTTPStatus.BAD_GATEWAY,
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    HTTPStatus.GATEWAY_TIMEOUT,
                ),
            },
        },
    ),
    DescribedRoute(
        "/api/calls/{sid}",
        get_call,
        needs=AccessScope.READ,
        get={
            "summary": "A call with its recordings and verdicts",
            "description": "Phone numbers are masked for people who may not see them. API keys see them in full.",
            "parameters": [CALL_SID],
            "responses": {
                "200": response("The call.", "Call"),
                **problems(
                    *NO_ACCESS,
                    HTTPStatus.NOT_FOUND,
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    HTTPStatus.SERVICE_UNAVAILABLE,
                ),
            },
        },
    ),
)
