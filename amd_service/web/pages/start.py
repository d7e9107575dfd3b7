"""GET /: leads to the list of calls."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from amd_service.web.pages.rendering import templates_of


async def start(request: Request) -> RedirectResponse:
    """Redirect to /calls."""
    return RedirectResponse(f"{templates_of(request).root}/calls", status_code=HTTPStatus.SEE_OTHER)


ROUTE = Route("/", start)
