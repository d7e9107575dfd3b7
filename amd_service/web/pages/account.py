"""/account: people change their password, and sign out everywhere."""

from datetime import timedelta
from http import HTTPStatus
from math import ceil

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.domain import ALL_SCOPES
from amd_service.errors import ConfigurationError, DatabaseUnavailable
from amd_service.operations import sign_in as operations
from amd_service.operations.credentials import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from amd_service.telemetry import get_logger
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.forms import read_form_with_token
from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)

PASSWORD_PATH = "/account/password"  # noqa: S105 - a path


async def show_account(request: Request) -> Response:
    """GET /account: the forms."""
    return _page(request)


async def change_password(request: Request) -> Response:
    """POST /account/password: check the present password, and store the new one. Ends all other sessions."""
    form, name = await read_form_with_token(request), principal_of(request).name
    cookie = state_of(request).authentication.cookie
    token = cookie.read(request.headers)
    if token is None:
        raise Problem(HTTPStatus.FORBIDDEN, "only people who have signed in with a password have one to change")
    new = form.get("new", "")
    if new != form.get("repeated"):
        return _page(request, "The new passwords differ.", HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        started = await _change(request, name, form.get("old", ""), new)
    except ConfigurationError as error:
        text = str(error)
        return _page(request, f"{text[:1].upper()}{text[1:]}.", HTTPStatus.UNPROCESSABLE_ENTITY)
    if started is None:
        log.warning("password not changed", reason="wrong password", name=name)
        return _page(request, "The present password is wrong.", HTTPStatus.FORBIDDEN)
    log.info("password changed", name=name)
    state_of(request).authentication.forget(token)
    response = _page(request, is_changed=True)
    cookie.write(response, started, int(runtime_of(request).settings.session_hours * 3600))
    return response


async def _change(request: Request, name: str, old: str, new: str) -> str | None:
    """Change the password, with the limits of the sign-in: a stolen session must not help to find the password."""
    state, runtime = state_of(request), runtime_of(request)
    client = state.authentication.client_of(request)
    with state.sign_in_slots.try_acquire() as has_slot:
        wait_s = state.sign_in_limiter.start(name, client) if has_slot else 1.0
        if wait_s > 0:
            detail = f"too many attempts: try again in {ceil(wait_s)} s"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after_s=wait_s)
        lasts = timedelta(hours=runtime.settings.session_hours)
        try:
            started = await operations.change_password(runtime.database, state.passwords, name, old, new, lasts=lasts)
        except (ConfigurationError, DatabaseUnavailable):
            state.sign_in_limiter.withdraw(name, client)
            raise
    if started is not None:
        state.sign_in_limiter.succeed(name, client)
    return started


def _page(
    request: Request, error: str | None = None, status: HTTPStatus = HTTPStatus.OK, *, is_changed: bool = False
) -> Response:
    lengths = {"min_length": MIN_PASSWORD_LENGTH, "max_length": MAX_PASSWORD_LENGTH}
    return templates_of(request).page(
        request, "account.html", status=status, error=error, is_changed=is_changed, **lengths
    )


ROUTES = (
    Route("/account", with_scope(ALL_SCOPES, show_account), methods=["GET"]),
    Route(PASSWORD_PATH, with_scope(ALL_SCOPES, change_password), methods=["POST"]),
)
