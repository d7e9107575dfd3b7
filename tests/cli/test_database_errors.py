"""Commands that open the database print a mistake in its URL in one line and exit with code 2."""

import sys

import pytest

from amd_service.cli.main import main
from tests.support.postgres import with_database

COMMANDS = ("migrate", "serve", "worker", "requeue")


def error_of(command: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["amd-service", *command.split()])
    for name, value in {"DATABASE_URL": url, "PORT": "0", "WORKER_PORT": "0", "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"AMD_{name}", value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_database_ends_the_start(
    command: str, server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(command, with_database(server_url, "not_there"), monkeypatch, capsys)
    assert line.startswith("amd-service: the database does not exist")
    assert "not_there" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_parameter_ends_the_start(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(command, "postgresql://u:p@127.0.0.1:1/n?hostaddr=10.0.0.1", monkeypatch, capsys)
    assert line.startswith("amd-service: AMD_DATABASE_URL: the parameter hostaddr is not supported")
