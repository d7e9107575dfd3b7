"""The options of `serve`."""

import socket

import pytest

from tests.support.command_line import CommandLine


def test_host_and_port_have_priority_over_the_settings(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMD_HOST", "192.0.2.1")
    monkeypatch.setenv("AMD_PORT", "1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = CommandLine(monkeypatch, capfd).run("serve", "--host", "127.0.0.1", "--port", str(port))
    assert ended.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: " in ended.err


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_an_invalid_port_is_refused_as_the_setting_is(
    port: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = CommandLine(monkeypatch, capfd).run("serve", f"--port={port}")
    assert (ended.code, ended.err.startswith(f"amd-service: AMD_PORT={port}: must be at ")) == (2, True)
