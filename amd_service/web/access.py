"""Access control: finds who sent a request, and refuses requests that another web site caused."""

import hmac
from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import get_logger
from amd_service.web.authentication import LOCAL_CLIENT, Authentication, bearer_key, peer_of
from amd_service.web.pages.problem_page import respond_with_problem
from amd_service.web.problems import Problem
from amd_service.web.session_cookie import csrf_token

log = get_logger(__name__)

CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class AccessControl:
    """ASGI middleware: responds 401 or 403 to a request without access. Sets `scope["principal"]` for the others.

    `public_paths`: paths without access control; a path that ends with `/` includes all paths below it. Paths that
    begin with `/twilio/` are public too, because their handlers verify Twilio's signature. `form_paths`: paths whose
    handlers read the CSRF token from a form.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authentication: Authentication,
        public_paths: Sequence[str],
        form_paths: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._public_paths = frozenset(public_paths)
        self._public_folders = ("/twilio/", *(path for path in public_paths if path.endswith("/") and path != "/"))
        self._form_paths = frozenset(form_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["type"] == "lifespan" or path in self._public_paths or path.startswith(self._public_folders):
            await self._app(scope, receive, send)
            return
        try:
            await self._check(scope)
        except DatabaseUnavailable:
            detail = "the database is unavailable, so the service cannot find out who sent this request"
            await _refuse(scope, receive, send, Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_s=2))
        except Problem as problem:
            if problem.status is HTTPStatus.FORBIDDEN:
                client = self._authentication.client_of(HTTPConnection(scope))
                log.warning("request refused", path=path, client=client, reason=problem.detail)
            await _refuse(scope, receive, send, problem)
        else:
            await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        connection = HTTPConnection(scope)
        headers = connection.headers
        principal = await self._authentication.find(headers, peer_of(connection))
        scope["principal"] = principal
        if bearer_key(headers) is not None and principal is not LOCAL_CLIENT:
            return  # no browser adds a key to a request that another site caused
        is_safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        if not (is_safe and is_navigation(headers)):
            check_same_site(headers)
        if not is_safe and scope["type"] == "http" and scope["path"] not in self._form_paths:
            check_csrf_token(self._authentication.cookie.read(headers), headers.get(CSRF_HEADER))


def is_navigation(headers: Headers) -> bool:
    """Whether a person follows a link to a page, also from another site.

    Other GET requests of another site load a page of this service into a frame, an image, audio or a script. They can
    reveal the length of a recording, and cost requests to Twilio.
    Source: https://web.dev/articles/fetch-metadata
    """
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def check_same_site(headers: Headers) -> None:
    """Raise Problem 403 if a page of another site caused the request.

    Browsers send Sec-Fetch-Site over https and to this machine, and Origin with every request that is neither GET nor
    HEAD. Other programs send neither.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        is_same = origin is None or origin.partition("://")[2] == headers.get("host", "none")
    else:
        is_same = site in ("same-origin", "none")
    if not is_same:
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site sent this request")


def check_csrf_token(token: str | None, sent: str | None) -> None:
    """Raise Problem 403 if the request has a session cookie, and `sent` is not its CSRF token. `token`: the cookie."""
    if token is not None and not hmac.compare_digest((sent or "").encode(), csrf_token(token).encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "the CSRF token is missing or old: load the page again")


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before `accept`: rejects the handshake with 403
    else:
        await respond_with_problem(Request(scope), problem)(scope, receive, send)
