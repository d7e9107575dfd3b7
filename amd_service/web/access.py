"""Who may ask: an API key, or, where none is configured, this machine alone."""

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

# A proxy on the same machine makes every stranger look like loopback; these headers give it away.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


class AccessControl:
    """ASGI middleware: lets through what is open or carries a key; answers 401 or 403 otherwise.

    `open_paths` are exact; webhooks below `/twilio/` are open too, because their signature is their key.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, open_paths: Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            refusal = refuse(Headers(scope=scope), self._settings)
            if refusal is not None:
                await problem_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith("/twilio/")


def refuse(headers: Headers, settings: Settings) -> Problem | None:
    """Why a request to a guarded path is refused, or None when it may pass."""
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
        "without AMD_API_KEYS only a service that nobody else can reach answers, and only to this machine: "
        "set AMD_API_KEYS",
    )


def _has_key(headers: Headers, keys: Sequence[SecretStr]) -> bool:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Every key is compared, so the time tells nothing about which one was close.
    matches = [hmac.compare_digest(sent.strip().encode(), key.get_secret_value().encode()) for key in keys]
    return any(matches)


def _is_local(headers: Headers) -> bool:
    host = _HOST.fullmatch(headers.get("host", "").lower())
    if host is None or not is_loopback(host[1]):
        return False
    return not any(header in headers for header in FORWARDING_HEADERS)
