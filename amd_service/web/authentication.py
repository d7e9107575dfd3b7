"""Finds who sent a request: a program with an API key, a person with a session, or a local client."""

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from amd_service.domain import ALL_SCOPES, AccessScope, Principal
from amd_service.operations import credentials
from amd_service.runtime import Runtime
from amd_service.web.local_requests import is_local
from amd_service.web.problems import Problem

Endpoint = Callable[[Request], Awaitable[Response]]

SESSION_COOKIE = "amd_session"

# Seconds for which the result of a lookup is reused. A revoked key and an ended session are valid for so long.
REUSE_S = 5.0
MAX_REUSED = 1000

LOCAL_CLIENT = Principal("local", ALL_SCOPES, sees_numbers=True)
CONFIGURED_KEY = Principal("AMD_API_KEYS", ALL_SCOPES, sees_numbers=True)


class Authentication:
    """Finds who sent a request. Lookups in the database are reused for `REUSE_S` seconds."""

    def __init__(self, runtime: Runtime, *, clock: Callable[[], float] = monotonic) -> None:
        self._settings = runtime.settings
        self._database = runtime.database
        self._clock = clock
        self._reused: dict[tuple[str, str], tuple[float, Principal | None]] = {}
        self._exist: tuple[float, bool] | None = None

    async def find(self, headers: Headers, client: str | None) -> Principal:
        """Return who sent the request. `client`: address of the client, None if it is unknown.

        Raises Problem 401 or 403 for a request without access, and DatabaseUnavailable.
        """
        if "authorization" in headers:
            principal = await self._find_program(headers["authorization"])
        else:
            principal = await self._find_person(headers, client)
        if principal is not None:
            return principal
        if await self._has_credentials():
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send an API key as `Authorization: Bearer <key>`: one of AMD_API_KEYS, or a key that `amd-service key "
                "add` made. A person signs in at /sign-in",
                {"www-authenticate": "Bearer"},
            )
        if self._settings.is_local_only and is_local(headers):
            return LOCAL_CLIENT
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "set AMD_API_KEYS: without API keys the service accepts only requests from localhost, and only while "
            "other machines cannot connect to the service",
        )

    def forget(self, token: str) -> None:
        """Look up a session again at its next request."""
        self._reused.pop(("session", credentials.sha256(token)), None)

    async def _find_program(self, authorization: str) -> Principal | None:
        scheme, _, sent = authorization.partition(" ")
        key = sent.strip()
        if scheme.lower() != "bearer" or not key:
            return None
        # Compare with every key, so that the response time does not reveal which key is similar to the sent key.
        known = [each.get_secret_value().encode() for each in self._settings.api_keys]
        if sum(hmac.compare_digest(key.encode(), each) for each in known):
            return CONFIGURED_KEY
        if not key.startswith(credentials.KEY_PREFIX):
            return None
        return await self._reuse("key", credentials.sha256(key), lambda: credentials.find_by_key(self._database, key))

    async def _find_person(self, headers: Headers, client: str | None) -> Principal | None:
        token = session_token(headers)
        if token is not None:
            found = await self._reuse(
                "session", credentials.sha256(token), lambda: credentials.find_by_session(self._database, token)
            )
            if found is not None:
                return found
        name = self._name_from_proxy(headers, client)
        if name is None:
            return None
        found = await self._reuse("proxy", name, lambda: credentials.find_by_proxy(self._database, name))
        if found is None:
            raise Problem(HTTPStatus.FORBIDDEN, f"nobody is named {name!r}: run `amd-service person add` first")
        return found

    def _name_from_proxy(self, headers: Headers, client: str | None) -> str | None:
        header = self._settings.user_header
        values = headers.getlist(header) if header is not None else []
        if not values or client is None:
            return None
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return None
        if not any(address in network for network in self._settings.trusted_networks):
            return None
        if len(values) > 1 or not values[0].strip():
            raise Problem(HTTPStatus.FORBIDDEN, f"the proxy must send exactly one {header} with a name")
        return values[0].strip()

    async def _has_credentials(self) -> bool:
        """Whether a key or a person exists. If none exists, the service trusts clients on this machine."""
        if self._settings.api_keys or self._settings.user_header:
            return True
        now = self._clock()
        if self._exist is None or now - self._exist[0] > REUSE_S:
            self._exist = now, await credentials.has_people_or_keys(self._database)
        return self._exist[1]

    async def _reuse(
        self, kind: str, name: str, look_up: Callable[[], Awaitable[Principal | None]]
    ) -> Principal | None:
        now = self._clock()
        known = self._reused.get((kind, name))
        if known is not None and now - known[0] <= REUSE_S:
            return known[1]
        found = await look_up()
        if len(self._reused) >= MAX_REUSED:
            self._reused.clear()
        self._reused[kind, name] = now, found
        return found


def session_token(headers: Headers) -> str | None:
    """Return the value of the session cookie; None without a cookie."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def csrf_token(token: str) -> str:
    """Return the CSRF token of a session. Another site cannot know it, because it cannot read the session cookie."""
    return hmac.digest(token.encode(), b"csrf", hashlib.sha256).hex()


def principal_of(request: Request) -> Principal:
    """Return who sent a request to a path that is not public."""
    principal: Principal = request.scope["principal"]
    return principal


def with_scope(scope: AccessScope, endpoint: Endpoint) -> Endpoint:
    """Wrap a request handler. The wrapped handler raises Problem 403 unless the sender has `scope`."""

    @wraps(endpoint)
    async def handle(request: Request) -> Response:
        principal = principal_of(request)
        if scope not in principal.scopes:
            raise Problem(HTTPStatus.FORBIDDEN, f"{principal.name} has no access of the kind {scope.value!r}")
        return await endpoint(request)

    return handle
