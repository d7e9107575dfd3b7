"""Runs uvicorn over an open runtime, and shuts both down in order."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.routing import BaseRoute

from amd_service.errors import ConfigurationError
from amd_service.runtime import Runtime, open_runtime
from amd_service.settings import Settings
from amd_service.telemetry import get_logger
from amd_service.twilio.media_streams import MOST_MESSAGE_BYTES
from amd_service.web.app import HEALTH_ROUTES, SERVICE_ROUTES, create_app

log = get_logger(__name__)

# uvicorn's options. Its other implementation over this library stands on a part of it that is deprecated.
WEBSOCKETS: Mapping[str, Any] = MappingProxyType(
    {
        "ws": "websockets-sansio",
        "ws_max_size": MOST_MESSAGE_BYTES,  # what is larger ends the connection with 1009
        "ws_per_message_deflate": False,
        "ws_ping_interval": None,  # what falls silent is ended by web/twilio/media.py
    }
)
NO_WEBSOCKETS: Mapping[str, Any] = MappingProxyType({"ws": "none"})

# Of the grace time: open requests first, what is left for recordings in work.
REQUESTS_SHARE = 0.3


async def serve(settings: Settings, *, with_worker: bool) -> None:
    """The service: webhooks, API and, unless switched off, a worker. Returns after SIGTERM or SIGINT."""
    with _listening_socket(settings.host, settings.port) as door:
        async with open_runtime(settings, with_worker=with_worker) as runtime:
            await _run(runtime, SERVICE_ROUTES, door)


async def work(settings: Settings) -> None:
    """A worker alone, with a port for health and metrics. Returns after SIGTERM or SIGINT."""
    with _listening_socket(settings.host, settings.worker_port) as door:
        async with open_runtime(settings, with_worker=True) as runtime:
            await _run(runtime, HEALTH_ROUTES, door)


class _Server(uvicorn.Server):
    """uvicorn, telling the worker to claim nothing more as soon as the shutdown begins."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._runtime.stop_claiming()
        await super().shutdown(sockets)


async def _run(runtime: Runtime, routes: Sequence[BaseRoute], door: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(runtime, routes),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **(WEBSOCKETS if runtime.settings.live else NO_WEBSOCKETS),
        timeout_graceful_shutdown=max(1, round(runtime.settings.shutdown_grace_s * REQUESTS_SHARE)),
    )
    host, port = door.getsockname()[:2]
    log.info("door open", url=f"http://{f'[{host}]' if ':' in host else host}:{port}", model=runtime.settings.model)
    _let_signals_end_quietly()
    await _Server(config, runtime).serve(sockets=[door])


def _let_signals_end_quietly() -> None:
    """Until here SIGTERM cancels what is being opened; from here on it ends uvicorn.

    uvicorn raises a captured signal again after it has shut down; by default that would kill the process before the
    worker has drained. The handlers stay on to the end: a second signal changes nothing, the grace time bounds the
    rest.
    """
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)


@contextmanager
def _listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bind before anything is started, so that a taken port is said at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, kind, protocol)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}; change AMD_HOST or AMD_PORT") from error
    with door:
        yield door
