"""The entry point: completion and how a process ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amd_service.cli.main import app
from tests.support.command_line import CommandLine

SCRIPT = """
import atexit, threading
from amd_service.cli.process import exit_despite_threads
atexit.register(print, "exit handlers ran")
threading.Thread(target=threading.Event().wait, daemon=True).start() if {left_behind} else None
print("done")
exit_despite_threads()
"""


@pytest.mark.parametrize(("left_behind", "printed"), [(True, "done\n"), (False, "done\nexit handlers ran\n")])
def test_a_process_with_a_running_daemon_thread_exits_without_the_interpreters_shutdown(
    left_behind: bool, printed: str
) -> None:
    command = [sys.executable, "-c", SCRIPT.format(left_behind=left_behind)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout == printed


def test_the_shell_gets_a_completion_script_and_completes_commands() -> None:
    command = [str(Path(sys.executable).with_name("amd-service"))]

    def complete(**request: str) -> str:
        environment = {**os.environ, **request}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    script = complete(_AMD_SERVICE_COMPLETE="source_bash")
    assert "complete -o default -F" in script
    assert script.rstrip().endswith("amd-service")
    typed = {"COMP_WORDS": "amd-service re", "COMP_CWORD": "1"}
    assert complete(_AMD_SERVICE_COMPLETE="complete_bash", **typed).split() == [
        "requeue",
        "rejudge",
        "reconcile",
        "replay",
    ]


def test_completion_can_be_installed() -> None:
    printed = CliRunner().invoke(app, ["--help"]).stdout
    assert "--install-completion" in printed


def test_every_line_of_an_error_names_the_program(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AMD_PORT", "AMD_POLL_S", "AMD_LIVE"):
        monkeypatch.setenv(name, "wrong")
    ended = CommandLine(monkeypatch, capfd).run("migrate")
    lines = ended.err.splitlines()
    assert (ended.code, len(lines)) == (2, 3)
    assert all(line.startswith("amd-service: AMD_") for line in lines)
