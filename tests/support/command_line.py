"""Runs a command of `amd-service` in this process, which is faster than a new process."""

import sys
from dataclasses import dataclass

import pytest

from amd_service.cli.main import main
from tests.support.log_configuration import restored_logging


@dataclass(frozen=True, slots=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs commands with the exit code that a shell would see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def run(self, *arguments: str) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["amd-service", *arguments])
        self._capfd.readouterr()
        with restored_logging(), pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *self._capfd.readouterr())
