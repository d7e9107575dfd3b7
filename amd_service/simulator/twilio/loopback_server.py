"""Serves the simulated Twilio's media host and REST API on a loopback port, in the running event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from amd_service.errors import ConfigurationError
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.rest_api import RestApi

_GRACE_S = 1.0
NO_WEBSOCKETS: Mapping[str, Any] = MappingProxyType({"ws": "none"})


@dataclass(frozen=True, slots=True)
class SimulatedTwilio:
    """A running simulated Twilio. `url`: the value for AMD_TWILIO_API_URL."""

    url: str
    media: MediaHost
    rest: RestApi


class _Server(uvicorn.Server):
    """Stops without a delay if it is idle. uvicorn notices `should_exit` after 0.1 s, and then sleeps for 0.1 s."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # uvicorn must not replace the signal handlers of this process

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Close the sockets. Requests in progress may end. `running`: the task of `serve`."""
        await _cancel({running})
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if requests := set(self.server_state.tasks):
            await asyncio.wait(requests, timeout=_GRACE_S)
            await _cancel(requests)


@asynccontextmanager
async def serve_simulated_twilio(
    media: MediaHost, *, rest: RestApi | None = None, routes: Sequence[Route] = (), port: int = 0
) -> AsyncIterator[SimulatedTwilio]:
    """Serve `media` and a REST API for its recordings on 127.0.0.1 while the context is open.

    `routes`: further routes. `port`: if 0, any free port. Raises ConfigurationError if the port cannot be used.
    """
    rest = rest or RestApi(media)
    # The media host's last route matches every path, so the media host's routes come second.
    app = Starlette(routes=[*routes, *rest.routes(), *media.routes()])
    async with serve_on_loopback(app, port=port) as url:
        yield SimulatedTwilio(url, media, rest)


@asynccontextmanager
async def serve_on_loopback(
    app: Starlette, *, port: int = 0, websockets: Mapping[str, Any] = NO_WEBSOCKETS
) -> AsyncIterator[str]:
    """Serve `app` and yield its URL. The socket already listens, so clients can connect before the server has started.

    `websockets`: uvicorn's options for WebSockets. Raises ConfigurationError if the port cannot be used.
    """
    # asyncio sets TCP_NODELAY only for IPPROTO_TCP. Without TCP_NODELAY, Nagle's algorithm delays responses by 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on port {port} of 127.0.0.1 ({error.strerror}): choose another --port, and set "
                "AMD_TWILIO_API_URL to this port"
            ) from error
        listening.listen()
        server = _Server(_config(app, websockets))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await server.stop(running)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _config(app: Starlette, websockets: Mapping[str, Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        **websockets,
        access_log=False,
        log_config=None,
        log_level="warning",
    )
