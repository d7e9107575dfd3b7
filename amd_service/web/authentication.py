"""Finds who sent a request: a program with an API key, a person with a session, or a local client."""

import hmac
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from shlex import quote
from time import monotonic

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from amd_service.domain import ALL_SCOPES, AccessScope, Principal
from amd_service.errors import DatabaseUnavailable
from amd_service.operations import credentials
from amd_service.runtime import Runtime
from amd_service.telemetry import get_logger
from amd_service.web.client_address import client_network, is_trusted, parse_address
from amd_service.web.local_requests import is_local
from amd_service.web.problems import Problem
from amd_service.web.recent_lookups import REUSE_S, RecentLookups
from amd_service.web.session_cookie import SessionCookie

log = get_logger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

# Seconds between two log lines about the use of one API key, or about one person whom the proxy signed in.
LOG_USE_EVERY_S = 3600.0

SCOPE_CURE = "an administrator can give another role with `amd-service person change`, or make another key"

LOCAL_CLIENT = Principal(credentials.LOCAL_NAME, ALL_SCOPES, sees_numbers=True)
CONFIGURED_KEY = Principal(credentials.CONFIGURED_KEY_NAME, ALL_SCOPES, sees_numbers=True)


class Authentication:
    """Finds who sent a request. Lookups in the database are reused for `REUSE_S` seconds.

    So a revoked key, an ended session and a disabled person have access for up to `REUSE_S` seconds.
    """

    def __init__(self, runtime: Runtime, *, clock: Callable[[], float] = monotonic) -> None:
        self.cookie = SessionCookie.of(runtime.settings.public_url)
        self._settings = runtime.settings
        self._networks = runtime.settings.trusted_networks
        self._database = runtime.database
        self._clock = clock
        self._lookups = RecentLookups(clock)
        self._exist: bool | None = None
        self._exist_at = 0.0
        self._logged: dict[tuple[str, str], float] = {}

    async def find(self, headers: Headers, peer: str | None) -> Principal:
        """Return who sent the request. `peer`: address of the TCP connection, None if it is unknown.

        Raises Problem 401 or 403 for a request without access, and DatabaseUnavailable.
        """
        key = bearer_key(headers)
        principal = await (self._find_person(headers, peer) if key is None else self._find_program(key, headers, peer))
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
            "without API keys and people, the service accepts only requests from localhost, and only while other "
            "machines cannot connect to it. For programs, set AMD_API_KEYS; for people, run `amd-service person add "
            "NAME --role admin`",
        )

    async def is_unchanged(self, request: Request) -> bool:
        """Whether the sender of a request that still gets a response has the same access as at its beginning.

        For responses that last longer than a few seconds. Raises DatabaseUnavailable.
        """
        try:
            return await self.find(request.headers, peer_of(request)) == principal_of(request)
        except Problem:
            return False

    def client_of(self, connection: HTTPConnection) -> str:
        """Return the address of the client, or the network of an IPv6 client; empty if the address is unknown."""
        return client_network(connection.headers, peer_of(connection), self._networks)

    def forget(self, token: str) -> None:
        """Look up a session again at its next request."""
        self._lookups.forget(("session", credentials.sha256(token)))

    async def _find_program(self, key: str, headers: Headers, peer: str | None) -> Principal | None:
        # Compare with every key, so that the response time does not reveal which key is similar to the sent key.
        known = [each.get_secret_value().encode() for each in self._settings.api_keys]
        found = CONFIGURED_KEY if sum(hmac.compare_digest(key.encode(), each) for each in known) else None
        if found is None and key.startswith(credentials.KEY_PREFIX):
            found = await self._lookups.find(
                ("key", credentials.sha256(key)), lambda: credentials.find_by_key(self._database, key)
            )
        if found is not None:
            self._log_use("API key used", found.name, client_network(headers, peer, self._networks))
        return found

    async def _find_person(self, headers: Headers, peer: str | None) -> Principal | None:
        """Return the person whom the proxy or the session cookie names. The name from the proxy has priority."""
        header, token = self._settings.user_header, self.cookie.read(headers)
        is_proxy = is_trusted(parse_address(peer or ""), self._networks)
        if header is not None and header in headers and is_proxy:
            return await self._find_by_proxy(header, headers, peer)
        found = None
        if token is not None:
            found = await self._lookups.find(
                ("session", credentials.sha256(token)), lambda: credentials.find_by_session(self._database, token)
            )
        if found is None and header is not None and header in headers:
            log.warning("user header refused", peer=peer)
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"only a proxy in AMD_TRUSTED_PROXIES may send the header {header}, and {peer} is none",
            )
        return found

    async def _find_by_proxy(self, header: str, headers: Headers, peer: str | None) -> Principal:
        values = headers.getlist(header)
        name = _decode(values[0]) if len(values) == 1 else None
        if name is None:
            raise Problem(HTTPStatus.FORBIDDEN, f"the proxy must send exactly one {header}, with a name in UTF-8")
        found = await self._lookups.find(("proxy", name), lambda: credentials.find_by_proxy(self._database, name))
        client = client_network(headers, peer, self._networks)
        if found is None:
            log.warning("proxy sign-in refused", name=name, client=client)
            cure = f"run `amd-service person add {quote(name)} --role viewer --proxy-only`"
            raise Problem(HTTPStatus.FORBIDDEN, f"nobody with access is named {name!r}: {cure}")
        self._log_use("signed in by the proxy", found.name, client)
        return found

    def _log_use(self, event: str, name: str, client: str) -> None:
        now = self._clock()
        if now - self._logged.get((event, name), -LOG_USE_EVERY_S) >= LOG_USE_EVERY_S:
            self._logged[event, name] = now
            log.info(event, name=name, client=client)

    async def _has_credentials(self) -> bool:
        """Whether a key or a person exists. If none exists, the service trusts clients on this machine.

        People and keys are never deleted, so the answer "yes" stays. While the database is unavailable, the last
        answer is reused. Raises DatabaseUnavailable if there is no answer yet.
        """
        if self._settings.api_keys or self._settings.user_header or self._exist:
            return True
        now = self._clock()
        if self._exist is None or now - self._exist_at > REUSE_S:
            try:
                self._exist = await credentials.has_people_or_keys(self._database)
            except DatabaseUnavailable:
                if self._exist is None:
                    raise
            self._exist_at = now
        return self._exist


def bearer_key(headers: Headers) -> str | None:
    """Return the key of an `Authorization: Bearer` header, which may be empty; None for other requests.

    A browser sends Basic credentials without being asked, also in requests that another site causes. So only Bearer is
    the sign of a program.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _decode(value: str) -> str | None:
    """Decode the value of a header from UTF-8; None for an empty or wrong value."""
    try:
        return value.encode("latin-1").decode().strip() or None
    except UnicodeDecodeError:
        return None


def peer_of(connection: HTTPConnection) -> str | None:
    """Return the address of the TCP connection. web/server.py turns off that uvicorn replaces it by a header."""
    return None if connection.client is None else connection.client.host


def principal_of(connection: HTTPConnection) -> Principal:
    """Return who sent a request to a path that is not public."""
    principal: Principal = connection.scope["principal"]
    return principal


def with_scope(needs: AccessScope | frozenset[AccessScope], endpoint: Endpoint) -> Endpoint:
    """Wrap a request handler. The wrapped handler raises Problem 403 unless the sender has one of the scopes."""
    scopes = frozenset({needs}) if isinstance(needs, AccessScope) else needs

    @wraps(endpoint)
    async def handle(request: Request) -> Response:
        principal = principal_of(request)
        if not scopes & principal.scopes:
            log.warning("access refused", name=principal.name, method=request.method, path=request.url.path)
            needed = " or ".join(sorted(scopes))
            detail = f"this needs the scope {needed}, which {principal.name} does not have: {SCOPE_CURE}"
            raise Problem(HTTPStatus.FORBIDDEN, detail)
        return await endpoint(request)

    handle.__dict__["needed_scopes"] = scopes
    return handle


def needed_scopes(endpoint: object) -> frozenset[AccessScope]:
    """Return the scopes of which the handler of a route needs one; empty for a handler without `with_scope`."""
    scopes: frozenset[AccessScope] = getattr(endpoint, "needed_scopes", frozenset())
    return scopes
