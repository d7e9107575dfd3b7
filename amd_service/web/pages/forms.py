"""Reads the forms of the pages."""

from urllib.parse import parse_qs

from starlette.requests import Request

from amd_service.web.access import CSRF_HEADER, check_csrf_token
from amd_service.web.body import read_body
from amd_service.web.state import state_of

MAX_FORM_BYTES = 16 * 1024
FORM_TIMEOUT_S = 10.0


async def read_form(request: Request) -> dict[str, str]:
    """Read a urlencoded form. Of a repeated field, the last value counts."""
    body = await read_body(request, MAX_FORM_BYTES, timeout_s=FORM_TIMEOUT_S)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


async def read_form_with_token(request: Request) -> dict[str, str]:
    """Read a form of a path in FORM_PATHS. Raises Problem 403 without the CSRF token, in `csrf_token` or the header."""
    form = await read_form(request)
    token = state_of(request).authentication.cookie.read(request.headers)
    check_csrf_token(token, form.get("csrf_token") or request.headers.get(CSRF_HEADER))
    return form
