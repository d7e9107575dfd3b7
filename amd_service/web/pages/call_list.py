"""GET /calls: the list of calls."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amd_service.calls.call_filter import CallFilter, FilterRules, filter_query, search_fault
from amd_service.calls.call_pages import CallPage, Cursor, Position
from amd_service.domain import AccessScope
from amd_service.errors import InvalidFilter
from amd_service.operations import list_calls
from amd_service.web.authentication import with_scope
from amd_service.web.pages.filter_form import call_filter_of, describe_form
from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

PATH = "/calls"
EVENTS_PATH = "/calls/events"


async def show_calls(request: Request) -> Response:
    """GET /calls: a page of the list. Another spelling of the query string is redirected, so that a view is one URL."""
    call_filter, position = call_filter_of(request), position_of(request)
    templates, url = templates_of(request), list_url(call_filter, position)
    if request.url.query != url.partition("?")[2] and "hx-request" not in request.headers:
        return RedirectResponse(f"{templates.root}{url}", status_code=HTTPStatus.SEE_OTHER)
    rules = runtime_of(request).rules
    found = await list_calls.read_list(runtime_of(request).database, call_filter, rules, position)
    context = rows_context(call_filter, rules, position, found.page)
    response = templates.page(request, "call_list.html", views=found.views, **context)
    if "hx-request" in request.headers:
        response.headers["hx-push-url"] = f"{templates.root}{url}"
    return response


def position_of(request: Request) -> Position:
    """Return the place in the list that a request names. Raises Problem 400."""
    older, newer = request.query_params.get("older"), request.query_params.get("newer")
    try:
        return Position(Cursor.parse(older) if older else None, Cursor.parse(newer) if newer else None)
    except InvalidFilter as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error


def list_url(call_filter: CallFilter, position: Position, path: str = PATH) -> str:
    """Return the URL of a page of the list, without the service's root."""
    place = {"older": position.older_than, "newer": position.newer_than}
    given = urlencode({name: str(cursor) for name, cursor in place.items() if cursor is not None})
    query = "&".join(part for part in (filter_query(call_filter), given) if part)
    return f"{path}?{query}" if query else path


def rows_context(call_filter: CallFilter, rules: FilterRules, position: Position, page: CallPage) -> Mapping[str, Any]:
    """Return the values that call_rows.html needs."""
    newer, older = page.newer, page.older
    return {
        "form": describe_form(call_filter),
        "page": page,
        "newer_url": None if newer is None else list_url(call_filter, Position(newer_than=newer)),
        "older_url": None if older is None else list_url(call_filter, Position(older_than=older)),
        "events_url": list_url(call_filter, position, EVENTS_PATH),
        "search_fault": search_fault(call_filter.search, rules.numbers),
    }


ROUTES = (Route(PATH, with_scope(AccessScope.READ, show_calls), methods=["GET"]),)
