"""An address on which `serve` or `worker` cannot listen: the message names the setting to change."""

import socket

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from amd_service.web import server

pytestmark = pytest.mark.anyio


def settings(host: str, port: int) -> Settings:
    return Settings(_env_file=None, host=host, port=port, worker_port=port)


async def test_a_second_worker_on_one_machine_names_the_port_of_the_worker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            await server.work(settings("127.0.0.1", port))
    cure = "Address already in use; change AMD_WORKER_PORT; 0 takes any free port"
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: {cure}"


async def test_a_second_serve_on_one_machine_names_its_port() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match=r"change AMD_PORT; 0 takes any free port$"),
    ):
        await server.serve(settings("127.0.0.1", taken.getsockname()[1]), with_worker=False)


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b", "300.1.1.1"])
async def test_an_address_of_another_machine_names_the_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host == "300.1.1.1":
        monkeypatch.setattr(socket, "getaddrinfo", refuse)  # tests look up no names
    elif host == "192.0.2.1":
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 1))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])
    with pytest.raises(ConfigurationError, match=rf"^cannot listen on .*{host}.*; change AMD_HOST"):
        await server.work(settings(host, 0))
