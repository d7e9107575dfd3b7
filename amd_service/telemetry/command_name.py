"""How the commands of this installation are run: a checkout has no `amd-service` on the PATH."""

import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "amd-service"
_INSTALL = re.compile(r"(?<!-m )(?<!uv )(?<![\w/])pip install ")


def command_name() -> str:
    """Return the words with which the shell that started this process runs `amd-service`.

    For example `.venv/bin/amd-service` in a checkout, or `.venv/bin/python -m amd_service`.
    """
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "amd_service":
        return f"{_typed(Path(sys.executable))} -m amd_service"
    # Otherwise another program runs this code, for example a test.
    return _typed(started) if started.name == NAME else NAME


def with_command_name(text: str) -> str:
    """Return a text whose commands, such as `amd-service doctor`, are as the reader must type them.

    `pip install` becomes the pip of this installation, because another pip would install for another Python.
    """
    quoted = f"`{NAME} "
    # Every value of every log line comes here, and the names cost a search of the PATH.
    if quoted in text:
        text = text.replace(quoted, f"`{command_name()} ")
    if "pip install " in text and find_spec("pip"):
        text = _INSTALL.sub(lambda _: f"{_typed(Path(sys.executable))} -m pip install ", text)
    return text


def next_command(*words: object) -> str:
    """Return the last line of a command: the command that usually follows. `words`: after `amd-service`."""
    return f"Next: {command_name()} {shlex.join(map(str, words))}"


def _typed(program: Path) -> str:
    """Return the shortest name for a program: its file name if the PATH leads to it, or a relative path."""
    found = shutil.which(program.name)
    if found is not None and Path(found).absolute() == program.absolute():
        return program.name
    try:
        return str(program.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):  # outside the working directory, or this directory was deleted
        return str(program)
