"""Shows problems to people: a page, a part of a page, or a redirect to the sign-in page."""

from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem, http_problem, problem_response

SIGN_IN = "/sign-in"


def respond_with_problem(request: Request, problem: Problem) -> Response:
    """Convert a problem to a page for a browser, and to problem+json for any other program.

    htmx gets a part of a page. A browser without access gets a redirect to the sign-in page.
    """
    if "text/html" not in request.headers.get("accept", ""):
        return problem_response(problem)
    is_part = "hx-request" in request.headers
    if problem.status is HTTPStatus.UNAUTHORIZED:
        return _sign_in_redirect(request, is_part=is_part)
    template = "problem_part.html" if is_part else "problem.html"
    response = templates_of(request).page(request, template, status=problem.status, problem=problem)
    response.headers.update(problem.headers)
    return response


async def handle_problem(request: Request, error: Exception) -> Response:
    """Exception handler for `Problem`."""
    assert isinstance(error, Problem)
    return respond_with_problem(request, error)


async def handle_database_outage(request: Request, _error: Exception) -> Response:
    """Exception handler for `DatabaseUnavailable`."""
    problem = Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the database is unavailable or too slow: try again, or choose a shorter period",
        retry_after_s=2,
    )
    return respond_with_problem(request, problem)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for an unknown path, and for a method that the path does not support."""
    assert isinstance(error, HTTPException)
    return respond_with_problem(request, http_problem(request, error))


def _sign_in_redirect(request: Request, *, is_part: bool) -> Response:
    root = templates_of(request).root
    # For a part of a page, `next` is the page. The path of a form is no page.
    shown = (
        request.headers.get("hx-current-url", "") if is_part else str(request.url) if request.method == "GET" else ""
    )
    path = "/" + shown.partition("://")[2].partition("#")[0].partition("/")[2]
    # The browser knows the path with the prefix of the public URL. A proxy may have removed it from the path here.
    target = path.removeprefix(root) if path.startswith(f"{root}/") else path
    url = f"{root}{SIGN_IN}?next={quote(target)}"
    if is_part:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": url})
    return RedirectResponse(url, status_code=HTTPStatus.SEE_OTHER)
