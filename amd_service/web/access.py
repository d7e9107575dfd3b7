"""Access control by API key. If no key is configured, only requests from this machine are allowed."""

import hmac
import re
from collections.abc import Sequence
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.settings import Settings, is_loopback
from amd_service.web.problems import Problem, problem_response

_HOST = re.compile(r"(\[[0-9a-f:]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)

# A proxy on this machine may forward requests of remote clients and set a local Host header. The following headers
# reveal the proxy. Sources: RFC 7239 and RFC 9110 (Via), RFC 8586 (CDN-Loop), and the documentation of nginx, Apache,
# Envoy, Cloudflare, Akamai, Fastly, Fly.io, Azure, AWS, Tailscale and WebLogic.
FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "cdn-loop", "client-ip", "true-client-ip", "fastly-client-ip", "proxy-client-ip"}
    | {"wl-proxy-client-ip", "proxy-connection", "x-amzn-trace-id", "x-arr-log-id", "x-arr-ssl", "x-host"}
    | {"x-forwarder-for", "x-client-ip", "x-cluster-client-ip", "x-originating-ip", "x-proxyuser-ip"}
    | {"x-remote-addr", "x-remote-ip", "x-scheme", "x-url-scheme", "front-end-https"}
)
FORWARDING_PREFIXES = (
    "x-forwarded",
    "x-real-",
    "x-original-",
    "x-envoy-",
    "x-azure-",
    "x-appengine-",
    "cf-",
    "fly-",
    "tailscale-",
)


class AccessControl:
    """ASGI middleware: responds 401 or 403 to a request without access.

    `public_paths`: paths without access control, matched exactly. Paths that begin with `/twilio/` are public too,
    because their handlers verify Twilio's signature.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, public_paths: Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._public_paths = frozenset(public_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public_paths or scope["path"].startswith("/twilio/"):
            await self._app(scope, receive, send)
            return
        problem = access_problem(Headers(scope=scope), self._settings)
        await (self._app if problem is None else problem_response(problem))(scope, receive, send)


def access_problem(headers: Headers, settings: Settings) -> Problem | None:
    """Return the problem for a request to a path that is not public; None when the request is allowed."""
    if settings.api_keys:
        if _has_key(headers, settings.api_keys):
            return None
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "send one of AMD_API_KEYS as `Authorization: Bearer <key>`",
            {"www-authenticate": "Bearer"},
        )
    if settings.is_local_only and _is_local(headers):
        return None
    return Problem(
        HTTPStatus.FORBIDDEN,
        "set AMD_API_KEYS: without API keys the service accepts only requests from localhost, and only while other "
        "machines cannot connect to the service",
    )


def describe_access(settings: Settings) -> str:
    """Describe for a person which requests to a path that is not public are allowed."""
    if settings.api_keys:
        return "needs an API key"
    if settings.is_local_only:
        return "needs no API key, because none is configured: only this machine has access"
    return "no access until AMD_API_KEYS is set"


def _has_key(headers: Headers, keys: Sequence[SecretStr]) -> bool:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Compare with every key, so that the response time does not reveal which key is similar to the sent key.
    matches = [hmac.compare_digest(sent.strip().encode(), key.get_secret_value().encode()) for key in keys]
    return any(matches)


def _is_local(headers: Headers) -> bool:
    hosts = headers.getlist("host")
    # A proxy and the service can read different Host headers of one request, so a second one is refused.
    host = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
    if host is None or not is_loopback(host[1]):
        return False
    return not any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES) for name in headers)
