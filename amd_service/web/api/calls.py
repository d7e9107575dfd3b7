"""Calls as JSON: what we know about one, and placing one."""

from collections.abc import Iterable
from http import HTTPStatus

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.calls import lookup
from amd_service.domain import CallSid, is_sid
from amd_service.errors import (
    AmdError,
    DatabaseUnavailable,
    KeyInUse,
    NotAllowed,
    OutcomeUnknown,
    RequestRefused,
    TooManyCalls,
    TwilioUnavailable,
)
from amd_service.operations.call_request import choose_account
from amd_service.web.api.idempotency import read_key
from amd_service.web.api.schemas import OrderShape, StartedAnswer
from amd_service.web.body import media_type, read_body
from amd_service.web.problems import Problem
from amd_service.web.state import call_placer_of, runtime_of

JSON = "application/json"
ORDER_BYTES = 64 * 1024  # 4000 characters of TwiML, all of them escaped, fit
ORDER_TIMEOUT_S = 10.0

# Twilio's errors about numbers and calls; all others are about the account and our way of asking (docs/api/errors).
CALLERS_FAULTS = range(21000, 22000)


async def read_call(request: Request) -> JSONResponse:
    """GET /api/calls/{sid}: the `call_log` row with its recordings and every verdict."""
    sid = request.path_params["sid"]
    if not is_sid(sid, "CA"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "a call SID is CA followed by 32 hexadecimal digits")
    try:
        async with runtime_of(request).database.transaction() as session:
            call = await lookup.read_call(session, CallSid(sid))
    except DatabaseUnavailable as error:
        raise _as_problem(error) from error
    if call is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no callback of call {sid} has arrived")
    return JSONResponse(call)


async def start_call(request: Request) -> JSONResponse:
    """POST /api/calls: place a call; 201, or 200 where an earlier request with the same Idempotency-Key placed it."""
    runtime = runtime_of(request)
    if not runtime.settings.api_keys:
        detail = "placing calls always needs a key, also from this machine: set AMD_API_KEYS"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    key = read_key(request.headers)
    asked = await _read_order(request)
    try:
        account = choose_account(runtime.settings.accounts, asked.account_sid)
        started = await call_placer_of(request).start(asked.order(), account, key)
    except AmdError as error:
        raise _as_problem(error) from error
    answer = StartedAnswer(call_sid=started.call_sid, call_status=started.status, replayed=started.replayed)
    return JSONResponse(
        answer.model_dump(mode="json"),
        status_code=HTTPStatus.OK if started.replayed else HTTPStatus.CREATED,
        headers={"location": f"/api/calls/{started.call_sid}"},
    )


async def _read_order(request: Request) -> OrderShape:
    if media_type(request) != JSON:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the order as {JSON}")
    body = await read_body(request, ORDER_BYTES, timeout_s=ORDER_TIMEOUT_S)
    try:
        return OrderShape.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        malformed = any(fault["type"] == "json_invalid" for fault in faults)
        status = HTTPStatus.BAD_REQUEST if malformed else HTTPStatus.UNPROCESSABLE_ENTITY
        raise Problem(status, _in_words(faults)) from error


def _in_words(faults: Iterable[ErrorDetails]) -> str:
    return "; ".join(_fault_in_words(fault) for fault in list(faults)[:10])


def _fault_in_words(fault: ErrorDetails) -> str:
    field = ".".join(map(str, fault["loc"]))[:80]
    if fault["type"] == "extra_forbidden":
        return f"`{field}` is not a field of an order"
    if fault["type"] == "missing":
        return f"`{field}` is missing"
    if fault["msg"].startswith("Input should be "):
        return f"{f'`{field}`' if field else 'the order'} must be {fault['msg'].removeprefix('Input should be ')}"
    return f"`{field}`: {fault['msg']}" if field else fault["msg"]


def _as_problem(error: AmdError) -> Problem:
    """What went wrong with a call, as the API says it."""
    match error:
        case NotAllowed():
            return Problem(HTTPStatus.FORBIDDEN, str(error))
        case KeyInUse():
            return Problem(HTTPStatus.CONFLICT, str(error))
        case TooManyCalls():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after_s=error.retry_after_s)
        case RequestRefused():
            return _refusal(error)
        case OutcomeUnknown():
            return Problem(HTTPStatus.GATEWAY_TIMEOUT, str(error))
        case TwilioUnavailable():
            detail = f"nothing was placed, the same request may be sent again: {error}"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=error.retry_after_s or 5)
        case DatabaseUnavailable():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away", retry_after_s=2)
        case _:
            raise error


def _refusal(error: RequestRefused) -> Problem:
    if error.code is None:
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    fault = HTTPStatus.UNPROCESSABLE_ENTITY if error.code in CALLERS_FAULTS else HTTPStatus.BAD_GATEWAY
    return Problem(fault, str(error))
