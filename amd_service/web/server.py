"""Runs the HTTP server until SIGTERM or SIGINT."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import uvicorn

from amd_service.errors import ConfigurationError
from amd_service.operations.change_feed import ChangeFeed
from amd_service.runtime import Runtime, open_runtime
from amd_service.settings import Settings
from amd_service.telemetry import get_logger
from amd_service.twilio.media_streams import MAX_MESSAGE_BYTES
from amd_service.web.app import HEALTH_ROUTES, SERVICE_ROUTES, Routes, create_app
from amd_service.web.connections import KEEP_ALIVE_S, MAX_HEADER_BYTES, ConnectionLimits, guarded_protocol

log = get_logger(__name__)

# Options of uvicorn. The option `ws="websockets"` is not used, because it needs a deprecated part of the `websockets`
# library.
WEBSOCKETS: Mapping[str, Any] = MappingProxyType(
    {
        "ws": "websockets-sansio",
        "ws_max_size": MAX_MESSAGE_BYTES,  # a larger message ends the connection with code 1009
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,  # no pings, because web/twilio/media.py closes idle connections
    }
)
NO_WEBSOCKETS: Mapping[str, Any] = MappingProxyType({"ws": "none"})


async def serve(
    settings: Settings,
    *,
    with_worker: bool,
    with_model: bool = True,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the webhooks and the API. If `with_worker` is true, also run a worker. Returns after SIGTERM or SIGINT.

    `announce`: gets lines for people with the URL to open, first when the address is known, then when the page answers.
    Raises ConfigurationError if a part needs the model that is left out.
    """
    if not with_model and (with_worker or settings.live):
        part = "--no-model needs --no-worker" if with_worker else "AMD_LIVE=true needs the model in this process"
        raise ConfigurationError(f"{part}: a process without the model judges no recordings and no streams")
    with _listening_socket(settings.host, settings.port, port_setting="AMD_PORT") as listening:
        local = settings.model_copy(update={"port": listening.getsockname()[1]})  # AMD_PORT=0 takes any free port
        page = (settings.public_url or local.local_url) + ("/try" if with_model else "/calls")
        announce(f"Open {page} when the database is open, in a few seconds.")
        async with open_runtime(settings, with_worker=with_worker, with_model=with_model) as runtime:
            announce(f"Open {page} now.{' The model is still loading.' if with_model else ''}")
            await _run(runtime, SERVICE_ROUTES, listening)


async def work(settings: Settings) -> None:
    """Run a worker and serve only health and metrics. Returns after SIGTERM or SIGINT."""
    with _listening_socket(settings.host, settings.worker_port, port_setting="AMD_WORKER_PORT") as listening:
        async with open_runtime(settings, with_worker=True) as runtime:
            await _run(runtime, HEALTH_ROUTES, listening)


class _Server(uvicorn.Server):
    """uvicorn server that ends live pages and the worker's claims as soon as the shutdown begins."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime, changes: ChangeFeed) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._changes = changes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._runtime.stop_claiming()
        self._changes.close()
        await super().shutdown(sockets)


async def _run(runtime: Runtime, routes: Routes, listening: socket.socket) -> None:
    app = create_app(runtime, routes)
    config = uvicorn.Config(
        app,
        http=guarded_protocol(ConnectionLimits(runtime.settings.max_connections)),
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **(WEBSOCKETS if runtime.settings.live else NO_WEBSOCKETS),
        timeout_graceful_shutdown=max(1, round(runtime.settings.shutdown_budget.requests_s)),
    )
    host, port = listening.getsockname()[:2]
    log.info(
        "server listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}", model=runtime.settings.model
    )
    # During the start-up, SIGTERM cancels the current task. From this point on, uvicorn handles SIGTERM.
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    # uvicorn raises a captured signal again after its shutdown. The default handlers would then kill the process before
    # the worker has drained, so ignore the signals. A second signal from the user is ignored too: the grace time limits
    # the shutdown.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    await _Server(config, runtime, app.state.service.changes).serve(sockets=[listening])


@contextmanager
def _listening_socket(host: str, port: int, *, port_setting: str) -> Iterator[socket.socket]:
    """Bind a socket. The socket is bound before the runtime opens, so that a port in use is reported at once.

    Raises ConfigurationError with the setting to change: AMD_HOST, or `port_setting`.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"cannot listen on host {host}: {error}; change AMD_HOST") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            cure = {
                errno.EADDRNOTAVAIL: "change AMD_HOST to an address of this machine",
                errno.EACCES: f"set {port_setting} to a port above 1023",
            }.get(error.errno or 0, f"change {port_setting}; 0 takes any free port")
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; {cure}") from error
        yield listening
