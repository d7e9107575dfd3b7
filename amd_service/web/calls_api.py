"""What we know about a call, as JSON."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.calls import call_log
from amd_service.domain import CallSid, is_sid
from amd_service.errors import DatabaseUnavailable
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of


async def read_call(request: Request) -> JSONResponse:
    """GET /api/calls/{sid}: the `call_log` row with its recordings and every verdict."""
    sid = request.path_params["sid"]
    if not is_sid(sid, "CA"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "a call SID is CA followed by 32 hexadecimal digits")
    try:
        async with runtime_of(request).database.transaction() as session:
            call = await call_log.read_call(session, CallSid(sid))
    except DatabaseUnavailable as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away", {"retry-after": "2"}) from error
    if call is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no callback of call {sid} has arrived")
    return JSONResponse(call)
