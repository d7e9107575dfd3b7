"""Renders templates with a strict Content-Security-Policy."""

import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from amd_service import __version__
from amd_service.domain import AccessScope, Principal
from amd_service.telemetry.command_name import command_name
from amd_service.web.masking import masked_text, shown
from amd_service.web.pages.notices import Notice
from amd_service.web.session_cookie import SessionCookie, csrf_token

STATIC_FOLDER = Path(__file__).parent / "static"

# Links in the header of every page, with the scope that the reader needs.
PAGES = (
    ("/calls", "Calls", AccessScope.READ),
    ("/campaigns", "Campaigns", AccessScope.READ),
    ("/review", "Review", AccessScope.REVIEW),
    ("/try", "Try it", AccessScope.PREDICT),
)

# Nothing is loaded from other hosts, and no script is inside the HTML. Wavesurfer writes its styles into a <style>
# element, so styles with the nonce of the response are allowed.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}


class Templates:
    """The templates of the pages. `public_url`: URL under which people open the pages; its path precedes all links.

    `notices`: returns the notices above each page.
    """

    def __init__(self, public_url: str | None, notices: Callable[[], Sequence[Notice]]) -> None:
        self._environment = Environment(
            loader=PackageLoader("amd_service.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        root = urlsplit(public_url or "").path.rstrip("/")
        self.root = root
        self._cookie = SessionCookie.of(public_url)
        self._environment.filters.update(masked=shown, masked_text=masked_text)
        self._environment.globals.update(
            root=root,
            pages=PAGES,
            notices=notices,
            command=command_name(),
            static=lambda name: f"{root}/static/{name}?v={__version__}",
        )

    def page(
        self, request: Request, template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any
    ) -> HTMLResponse:
        """Render a page or a part of a page."""
        token = self._cookie.read(request.headers)
        nonce = secrets.token_urlsafe(16)
        text = self._environment.get_template(template).render(
            principal=request.scope.get("principal"),
            signed_in=token is not None,
            csrf_token=None if token is None else csrf_token(token),
            current=request.url.path,
            nonce=nonce,
            **context,
        )
        return HTMLResponse(
            text, status_code=status, headers=HEADERS | {"content-security-policy": POLICY.format(nonce=nonce)}
        )

    def part(self, template: str, principal: Principal, **context: Any) -> str:
        """Render a part of a page that is the same for everybody with the same access."""
        return self._environment.get_template(template).render(principal=principal, **context)


def templates_of(request: Request) -> Templates:
    """Return the templates of the app that serves a request."""
    templates: Templates = request.app.state.service.templates
    return templates
