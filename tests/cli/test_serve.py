"""The options of `serve`."""

import re
import socket

import pytest

from tests.support.command_line import CommandLine
from tests.support.postgres import with_database


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


@pytest.mark.parametrize("arguments", [(), ("--no-worker", "--no-model")])
def test_the_first_line_on_a_terminal_is_the_url_to_open(
    arguments: tuple[str, ...], server_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMD_DATABASE_URL", with_database(server_url, "not_there"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    first = CommandLine(monkeypatch, capfd).run("serve", "--port=0", *arguments).out.splitlines()[0]
    page = "calls" if arguments else "try"
    assert re.fullmatch(rf"Open http://127\.0\.0\.1:\d+/{page} when the database is open, in a few seconds\.", first)


@pytest.mark.parametrize(("is_terminal", "log_format"), [(True, "json"), (False, "auto")])
def test_nothing_but_logs_is_printed_for_programs(
    is_terminal: bool,
    log_format: str,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AMD_DATABASE_URL", with_database(server_url, "not_there"))
    monkeypatch.setenv("AMD_LOG_FORMAT", log_format)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    assert CommandLine(monkeypatch, capfd).run("serve", "--port=0").out == ""
