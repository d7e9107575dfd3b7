"""GET /api/calls: the calls that a filter selects, newest first, one page at a time."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.calls.call_filter import filter_query
from amd_service.calls.call_pages import PAGE_SIZE, Cursor, Position
from amd_service.calls.lookup import as_json
from amd_service.domain import AccessScope
from amd_service.errors import InvalidFilter
from amd_service.operations.list_calls import read_rows
from amd_service.web.api.example_bodies import CALL_PAGE
from amd_service.web.api.filter_parameters import FILTER_PARAMETERS, parameter, read_filter
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.authentication import principal_of
from amd_service.web.masking import masked_json
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

PATH = "/api/calls"
# Encoding a page of this size as JSON takes about 20 ms, in which the process handles no other request.
MAX_PAGE_SIZE = 200

LIMIT = parameter(
    "limit",
    "Maximum number of calls in the response.",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
)
CURSOR = parameter(
    "cursor",
    "Where the page begins: `next` of the previous response. Send the same filter with it.",
    {"type": "string", "maxLength": 200},
)


async def list_calls(request: Request) -> JSONResponse:
    """GET /api/calls: a page of calls. `next` and the header `Link` lead to the next page, if there is one."""
    call_filter, size = read_filter(request, LIMIT, CURSOR), _limit_of(request)
    runtime = runtime_of(request)
    rules = runtime.rules
    page = await read_rows(runtime.database, call_filter, rules, _position_of(request), size=size)
    # Encoded, so that clients do not depend on the content of a cursor.
    following = None if page.older is None else urlsafe_b64encode(str(page.older).encode()).decode()
    calls = masked_json([as_json(call) for call in page.calls], principal_of(request))
    headers = {}
    if following is not None:
        query = urlencode({"limit": size, "cursor": following})
        selection = filter_query(call_filter)
        url = f"{runtime.settings.public_url or ''}{PATH}?{f'{selection}&' if selection else ''}{query}"
        headers["link"] = f'<{url}>; rel="next"'
    return JSONResponse({"calls": calls, "next": following}, headers=headers)


def _limit_of(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE_SIZE))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE_SIZE):
        raise Problem(HTTPStatus.BAD_REQUEST, f"limit={text[:50]!r}: use a number from 1 to {MAX_PAGE_SIZE}")
    return int(text)


def _position_of(request: Request) -> Position:
    text = request.query_params.get("cursor")
    if not text:
        return Position()
    try:
        return Position(older_than=Cursor.parse(urlsafe_b64decode(text.encode()).decode()))
    except (InvalidFilter, ValueError) as error:
        detail = f"cursor={text[:200]!r} is invalid: use `next` of a response, or omit it"
        raise Problem(HTTPStatus.BAD_REQUEST, detail) from error


ROUTE = DescribedRoute(
    PATH,
    list_calls,
    needs=AccessScope.READ,
    get={
        "summary": "List calls",
        "description": "The calls that the filter selects, newest first, without their recordings and model runs. "
        "Without a filter: all calls. New calls do not shift the pages. Phone numbers are masked for people who may "
        "not see them.",
        "parameters": [*FILTER_PARAMETERS, LIMIT, CURSOR],
        "responses": {
            "200": response("A page of calls.", "CallPage", example=CALL_PAGE)
            | {
                "headers": {
                    "Link": {"schema": {"type": "string"}, "description": 'URL of the next page, `rel="next"`.'}
                }
            },
            **problems(*NO_ACCESS, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE),
        },
    },
)
