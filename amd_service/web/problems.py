"""Errors as problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse


class Problem(Exception):
    """An HTTP error answer. `detail` tells the caller what to change."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_response(problem: Problem) -> JSONResponse:
    """The answer for a problem."""
    return JSONResponse(
        problem_body(problem),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def problem_body(problem: Problem) -> dict[str, object]:
    """The problem as its JSON members."""
    return {"title": problem.status.phrase, "status": problem.status.value, "detail": problem.detail}


async def handle_problem(_request: Request, error: Exception) -> JSONResponse:
    """Exception handler for `Problem`."""
    assert isinstance(error, Problem)
    return problem_response(error)
