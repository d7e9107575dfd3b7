"""The session cookie, and the CSRF token that belongs to it."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """Name and attributes of the session cookie."""

    name: str
    path: str
    is_secure: bool

    @classmethod
    def of(cls, public_url: str | None) -> Self:
        """Return the cookie for a service whose pages are opened under `public_url`.

        Browsers accept a cookie named `__Host-…` only over https, for this host and for the path `/`. So a page of
        another host cannot replace the cookie. `__Secure-…` is the same without the condition for the path.
        Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
        """
        url = urlsplit(public_url or "")
        path = f"{url.path.rstrip('/')}/"
        is_secure = url.scheme.lower() == "https"
        prefix = ("__Host-" if path == "/" else "__Secure-") if is_secure else ""
        return cls(f"{prefix}amd_session", path, is_secure)

    def read(self, headers: Headers) -> str | None:
        """Return the token in the cookie of a request; None without a cookie."""
        return cookie_parser(headers.get("cookie", "")).get(self.name) or None

    def write(self, response: Response, token: str, max_age_s: int) -> None:
        """Set the cookie for `max_age_s` seconds."""
        response.set_cookie(
            self.name,
            token,
            max_age=max_age_s,
            path=self.path,
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def delete(self, response: Response) -> None:
        """Delete the cookie. Browsers ignore a deletion whose attributes do not fit the name of the cookie."""
        response.delete_cookie(self.name, path=self.path, secure=self.is_secure, httponly=True, samesite="lax")


def csrf_token(token: str) -> str:
    """Return the CSRF token of a session. Another site cannot know it, because it cannot read the session cookie."""
    return hmac.digest(token.encode(), b"csrf", hashlib.sha256).hex()
