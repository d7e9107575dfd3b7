"""Access control: finds who sent a request, and refuses requests that another web site caused."""

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.errors import DatabaseUnavailable
from amd_service.web.authentication import Authentication, csrf_token, session_token
from amd_service.web.pages.problem_page import respond_with_problem
from amd_service.web.problems import Problem

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
        if scope["type"] != "http" or path in self._public_paths or path.startswith(self._public_folders):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            scope["principal"] = await self._authentication.find(headers, (scope.get("client") or (None,))[0])
            if scope["method"] not in SAFE_METHODS and "authorization" not in headers:
                check_same_site(headers)
                if scope["path"] not in self._form_paths:
                    check_csrf_token(headers, headers.get(CSRF_HEADER))
        except DatabaseUnavailable:
            problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is unavailable", retry_after_s=2)
            await respond_with_problem(Request(scope), problem)(scope, receive, send)
        except Problem as problem:
            await respond_with_problem(Request(scope), problem)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def check_same_site(headers: Headers) -> None:
    """Raise Problem 403 if a page of another site caused the request.

    Browsers send Sec-Fetch-Site or Origin with every POST; other programs send neither.
    Source: https://owasp.org/www-project-cheat-sheets/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        is_same = origin is None or urlsplit(origin).netloc == headers.get("host", "")
    else:
        is_same = site in ("same-origin", "none")
    if not is_same:
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site sent this request")


def check_csrf_token(headers: Headers, sent: str | None) -> None:
    """Raise Problem 403 if the request belongs to a session and `sent` is not the session's CSRF token."""
    token = session_token(headers)
    if token is not None and not hmac.compare_digest((sent or "").encode(), csrf_token(token).encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "the CSRF token is missing or old: load the page again")
