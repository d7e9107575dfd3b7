"""GET and POST /sign-in, and POST /sign-out."""

from datetime import timedelta
from http import HTTPStatus
from math import ceil

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amd_service.domain import ALL_SCOPES
from amd_service.errors import DatabaseUnavailable
from amd_service.operations import sign_in as operations
from amd_service.operations.credentials import MAX_NAME_LENGTH
from amd_service.telemetry import get_logger
from amd_service.web.access import check_same_site
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.forms import read_form, read_form_with_token
from amd_service.web.pages.rendering import templates_of
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)


async def show_sign_in(request: Request) -> Response:
    """GET /sign-in: the form."""
    target = _local_path(request.query_params.get("next", ""))
    return templates_of(request).page(request, "sign_in.html", next=target, name="", error=None)


async def sign_in(request: Request) -> Response:
    """POST /sign-in: check name and password, and set the session cookie."""
    check_same_site(request.headers)
    form = await read_form(request)
    name, target = form.get("name", "").strip()[:MAX_NAME_LENGTH], _local_path(form.get("next", ""))
    state = state_of(request)
    client = state.authentication.client_of(request)
    with state.sign_in_slots.try_acquire() as has_slot:
        wait_s = state.sign_in_limiter.start(name, client) if has_slot else 1.0
        if wait_s > 0:
            log.warning("sign-in refused", reason="too many attempts", client=client)
            return _too_many(request, name, target, ceil(wait_s))
        try:
            result = await _check_password(request, name, form.get("password", ""))
        except DatabaseUnavailable:
            state.sign_in_limiter.withdraw(name, client)
            error, status = "The database is unavailable. Try again.", HTTPStatus.SERVICE_UNAVAILABLE
            return _form(request, name, target, error, status)
    if result.token is None:
        # An unknown name can be a password that was typed into the wrong field, so it is not logged.
        reason, known_name = ("wrong password", name) if result.is_known else ("unknown name", None)
        log.warning("sign-in refused", reason=reason, name=known_name, client=client)
        return _form(request, name, target, "The name or the password is wrong.", HTTPStatus.UNAUTHORIZED)
    state.sign_in_limiter.succeed(name, client)
    log.info("signed in", name=name, client=client)
    return _signed_in(request, result.token, target)


async def sign_out(request: Request) -> Response:
    """POST /sign-out: end the session, or with the field `everywhere` all sessions of the person."""
    authentication = state_of(request).authentication
    token = authentication.cookie.read(request.headers)
    form = await read_form_with_token(request)
    if token is not None:
        await operations.sign_out(runtime_of(request).database, token, everywhere="everywhere" in form)
        authentication.forget(token)
        log.info("signed out", name=principal_of(request).name, everywhere="everywhere" in form)
    response = RedirectResponse(f"{templates_of(request).root}/sign-in", status_code=HTTPStatus.SEE_OTHER)
    authentication.cookie.delete(response)
    return response


async def _check_password(request: Request, name: str, password: str) -> operations.SignIn:
    runtime, state = runtime_of(request), state_of(request)
    return await operations.sign_in(
        runtime.database,
        state.passwords,
        name,
        password,
        lasts=timedelta(hours=runtime.settings.session_hours),
        replaces=state.authentication.cookie.read(request.headers),
    )


def _form(request: Request, name: str, target: str, error: str, status: HTTPStatus) -> Response:
    return templates_of(request).page(request, "sign_in.html", status=status, next=target, name=name, error=error)


def _too_many(request: Request, name: str, target: str, wait_s: int) -> Response:
    error = f"Too many attempts. Try again in {wait_s} s."
    response = _form(request, name, target, error, HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["retry-after"] = str(wait_s)
    return response


def _signed_in(request: Request, token: str, target: str) -> RedirectResponse:
    response = RedirectResponse(f"{templates_of(request).root}{target}", status_code=HTTPStatus.SEE_OTHER)
    lasts_s = int(runtime_of(request).settings.session_hours * 3600)
    state_of(request).authentication.cookie.write(response, token, lasts_s)
    return response


def _local_path(target: str) -> str:
    """Return the path to show after the sign-in. A URL of another site becomes /calls."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local else "/calls"


ROUTES = (
    Route("/sign-in", show_sign_in, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", with_scope(ALL_SCOPES, sign_out), methods=["POST"]),
)
