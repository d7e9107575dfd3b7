"""Limits on connections, which apply before the app receives a request.

uvicorn limits neither the time for request headers nor the number of connections. Its option `limit_concurrency`
refuses every request above the limit, also Twilio's callbacks.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from amd_service.telemetry import get_logger
from amd_service.web.problems import Problem, problem_response

log = get_logger(__name__)

# Maximum bytes of a request line with its headers, of a chunk header, and of trailers. nginx and Caddy accept less by
# default. h11 checks the limit.
MAX_HEADER_BYTES = 32 * 1024
# Seconds for which a connection without a request stays open. Longer than the 60 s of nginx and of load balancers: if
# the service closed a connection first, the proxy could send a callback on it at the same moment and lose the callback.
KEEP_ALIVE_S = 75


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one process.

    `connections`: maximum number of connections for all clients. `reserve`: further connections that serve only Twilio
    and the health checks. `header_s`: seconds until the headers of a request are complete. `write_s`: seconds for which
    a client may stop reading its response.
    """

    connections: int
    reserve: int = 64
    header_s: float = 10.0
    write_s: float = 30.0


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 connection that a slow client cannot keep, and that Twilio gets even if other clients use all others."""

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = _refuse_above_limit(self.app, self)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_header_timer()
        above = len(self.connections) - self.limits.connections
        if above > 0 and not self._close_idlest() and above > self.limits.reserve:
            log.warning("connection refused: AMD_MAX_CONNECTIONS reached")
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self or self._has_request:
            self._stop_header_timer()
        elif self._header_timer is None:
            self._start_header_timer()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Respond to a request that is not HTTP, and close the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the response has begun
            self.transport.abort()
            return
        detail = f"not a valid HTTP/1.1 request, or its headers have more than {MAX_HEADER_BYTES} bytes"
        response = problem_response(Problem(HTTPStatus.BAD_REQUEST, detail, {"connection": "close"}))
        head = h11.Response(status_code=response.status_code, headers=response.raw_headers)
        for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    @property
    def _has_request(self) -> bool:
        """Whether a request with complete headers has no complete response yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.limits.header_s, self.transport.abort)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_idlest(self) -> bool:
        """Close the connection that has had no complete request for the longest time. Returns False if all are busy.

        A connection is also busy for up to `write_s` seconds after a response that the client has not read completely.
        """
        read_since = self.loop.time() - self.limits.write_s
        idle = [
            other
            for other in self.connections
            if isinstance(other, GuardedProtocol)
            and other is not self
            and not other._has_request
            and (other.transport.get_write_buffer_size() == 0 or other._idle_since < read_since)
        ]
        if not idle:
            return False
        idlest = min(idle, key=lambda other: other._idle_since)
        self.connections.discard(idlest)  # `connection_lost` comes later, and more connections may arrive before it
        idlest.transport.abort()
        return True


def _refuse_above_limit(app: ASGIApp, connection: GuardedProtocol) -> ASGIApp:
    """Serve only Twilio and the health checks while more connections are open than AMD_MAX_CONNECTIONS."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        is_full = len(connection.connections) > connection.limits.connections
        if is_full and not scope["path"].startswith(("/twilio/", "/health", "/ready", "/metrics")):
            log.warning("request refused: AMD_MAX_CONNECTIONS reached")
            problem = Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", {"connection": "close"}, retry_after_s=1
            )
            await problem_response(problem)(scope, receive, send)
            return
        await app(scope, receive, send)

    return serve


def guarded_protocol(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """Return the protocol class for `uvicorn.Config(http=…)`."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})
