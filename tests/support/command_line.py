"""Runs a command of `amd-service` in this process, which is faster than a new process."""

import logging
import sys
from dataclasses import dataclass

import pytest
import structlog

from amd_service.cli.main import main


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
        handlers, level = logging.root.handlers[:], logging.root.level
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            # The command's handler writes to the captured stream, which is closed after the test.
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
            structlog.reset_defaults()
        return Ended(int(ended.value.code or 0), *self._capfd.readouterr())
