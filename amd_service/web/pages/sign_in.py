"""GET and POST /sign-in, and POST /sign-out."""

from datetime import timedelta
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from amd_service.errors import DatabaseUnavailable
from amd_service.operations import credentials
from amd_service.telemetry import get_logger
from amd_service.web.access import CSRF_HEADER, check_csrf_token, check_same_site
from amd_service.web.authentication import SESSION_COOKIE, session_token
from amd_service.web.body import read_body
from amd_service.web.pages.rendering import templates_of
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)

MAX_FORM_BYTES = 16 * 1024
FORM_TIMEOUT_S = 10.0


async def show_sign_in(request: Request) -> Response:
    """GET /sign-in: the form."""
    target = _local_path(request.query_params.get("next", ""))
    return templates_of(request).page(request, "sign_in.html", next=target, name="", error=None)


async def sign_in(request: Request) -> Response:
    """POST /sign-in: check name and password, and set the session cookie."""
    check_same_site(request.headers)
    form = await read_form(request)
    name, target = form.get("name", "").strip(), _local_path(form.get("next", ""))
    limiter = state_of(request).sign_in_limiter
    error, status = f"Too many attempts. Try again in {limiter.wait_s(name):.0f} s.", HTTPStatus.TOO_MANY_REQUESTS
    if limiter.wait_s(name) == 0:
        lasts = timedelta(hours=runtime_of(request).settings.session_hours)
        try:
            session = await credentials.sign_in(runtime_of(request).database, name, form.get("password", ""), lasts)
        except DatabaseUnavailable:
            error, status = "The database is unavailable. Try again.", HTTPStatus.SERVICE_UNAVAILABLE
        else:
            if session is not None:
                return _signed_in(request, session, target)
            limiter.record_failure(name)
            log.warning("sign-in refused", name=name)
            error, status = "The name or the password is wrong.", HTTPStatus.UNAUTHORIZED
    return templates_of(request).page(request, "sign_in.html", status=status, next=target, name=name, error=error)


async def sign_out(request: Request) -> Response:
    """POST /sign-out: end the session."""
    token = session_token(request.headers)
    form = await read_form(request)
    check_csrf_token(request.headers, form.get("csrf_token") or request.headers.get(CSRF_HEADER))
    if token is not None:
        await credentials.sign_out(runtime_of(request).database, token)
        state_of(request).authentication.forget(token)
    response = RedirectResponse(f"{templates_of(request).root}/sign-in", status_code=HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE, path=f"{templates_of(request).root}/")
    return response


async def read_form(request: Request) -> dict[str, str]:
    """Read a urlencoded form. Of a repeated field, the last value counts."""
    body = await read_body(request, MAX_FORM_BYTES, timeout_s=FORM_TIMEOUT_S)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


def _signed_in(request: Request, session: credentials.Session, target: str) -> RedirectResponse:
    root = templates_of(request).root
    response = RedirectResponse(f"{root}{target}", status_code=HTTPStatus.SEE_OTHER)
    response.set_cookie(
        SESSION_COOKIE,
        session.token,
        max_age=int(session.lasts.total_seconds()),
        path=f"{root}/",
        secure=(runtime_of(request).settings.public_url or "").startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response


def _local_path(target: str) -> str:
    """Return the path to show after the sign-in. A URL of another site becomes /calls."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local else "/calls"


ROUTES = (
    Route("/sign-in", show_sign_in, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
)
