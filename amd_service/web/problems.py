"""Errors as problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from amd_service.telemetry.command_name import with_command_name


class Problem(Exception):
    """An HTTP error response.

    `detail` says what to change. `retry_after_s`: seconds until the client may retry. `members`: further members of
    the body (RFC 9457, extension members).
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        retry_after_s: float | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        if retry_after_s is not None:
            self.headers["retry-after"] = str(max(1, ceil(retry_after_s)))


def problem_response(problem: Problem) -> JSONResponse:
    """Convert a problem to a response."""
    return JSONResponse(
        problem_body(problem),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def problem_body(problem: Problem) -> dict[str, object]:
    """Convert a problem to its JSON members."""
    return {
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": with_command_name(problem.detail),
        **problem.members,
    }


def http_problem(request: Request, error: HTTPException) -> Problem:
    """Return the problem of an unknown path, or of a method that the path does not support."""
    # Starlette names only the methods of the first route with this path. Another route can accept further methods.
    same_path = [route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    if allowed := sorted({method for route in same_path for method in route.methods}):
        detail = f"{request.url.path} does not accept {request.method}: use {' or '.join(allowed)}"
        return Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"allow": ", ".join(allowed)})
    detail = f"{request.method} {request.url.path} does not exist; see /openapi.json"
    return Problem(HTTPStatus(error.status_code), detail, error.headers)
