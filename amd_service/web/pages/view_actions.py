"""POST /calls/views: save, rename, replace and delete views of the calls page."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amd_service.calls.call_filter import CallFilter, filter_query, parse_filter
from amd_service.domain import AccessScope
from amd_service.errors import InvalidFilter, ViewNameTaken
from amd_service.operations import manage_views
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.forms import read_form_with_token
from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

PATH = "/calls/views"
MAX_NAME_LENGTH = 60


async def change_views(request: Request) -> Response:
    """POST /calls/views: the field `action` is `save`, `replace`, `rename` or `delete`. Leads back to the list."""
    form = await read_form_with_token(request)
    try:
        query = await _change(request, form, parse_filter(parse_qsl(form.get("query", ""))))
    except InvalidFilter as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error
    except ViewNameTaken as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error
    if query is None:
        raise Problem(HTTPStatus.NOT_FOUND, "somebody has deleted this view: load the list of calls again")
    url = f"{templates_of(request).root}/calls{'?' if query else ''}{query}"
    return RedirectResponse(url, status_code=HTTPStatus.SEE_OTHER)


async def _change(request: Request, form: Mapping[str, str], shown: CallFilter) -> str | None:
    """Carry out the action, and return the query string of the list to show. None for an unknown view."""
    database = runtime_of(request).database
    match form.get("action"):
        case "save":
            _raise_if_searching(shown)
            await manage_views.save_view(database, _name(form), shown, principal_of(request).name)
            return filter_query(shown)
        case "replace":
            _raise_if_searching(shown)
            return await manage_views.replace_view(database, _view_id(form), shown)
        case "rename":
            return await manage_views.rename_view(database, _view_id(form), _name(form))
        case "delete":
            await manage_views.delete_view(database, _view_id(form))
            return filter_query(shown)
        case action:
            raise Problem(HTTPStatus.BAD_REQUEST, f"action={action!r} is unknown: use save, replace, rename or delete")


def _raise_if_searching(shown: CallFilter) -> None:
    """Raise Problem 400 for a filter with a search: all people would see the number that somebody typed."""
    if shown.search is not None:
        raise Problem(HTTPStatus.BAD_REQUEST, "a view cannot contain a search: remove the search, then save the view")


def _name(form: Mapping[str, str]) -> str:
    name = " ".join(form.get("name", "").split())
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise Problem(HTTPStatus.BAD_REQUEST, f"the name of a view needs 1 to {MAX_NAME_LENGTH} printable characters")
    return name


def _view_id(form: Mapping[str, str]) -> int:
    text = form.get("id", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Problem(HTTPStatus.BAD_REQUEST, f"id={text!r} is not the number of a view")
    return int(text)


ROUTE = Route(PATH, with_scope(AccessScope.REVIEW, change_views), methods=["POST"])
