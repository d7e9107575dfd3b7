"""Reads the file `.env` of the working directory."""

import re
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from amd_service.errors import ConfigurationError
from amd_service.settings.files import read_utf8

_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


def read_env_file(path: Path) -> dict[str, str | None]:
    """Return the variables of the file, or an empty dict if the file does not exist.

    Raises ConfigurationError with one line for each line that cannot be read. Without this error, a setting in such a
    line would silently keep its default.
    """
    try:
        if path.is_fifo():  # the file is read twice
            raise ConfigurationError(f"{path} is a pipe: replace the pipe by a file")
        text = read_utf8(path) if path.exists() else ""
    except PermissionError as error:
        raise ConfigurationError(
            f"this account cannot read the working directory, so {path} cannot be read: start in another directory"
        ) from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    findings = [
        _describe(path, binding.original.line, binding.original.string)
        for binding in parse_stream(StringIO(text))
        if binding.error or (binding.key is not None and (binding.value is None or not _NAME.fullmatch(binding.key)))
    ]
    if findings:
        raise ConfigurationError("\n".join(findings))
    return dotenv_values(stream=StringIO(text))


def _describe(path: Path, line: int, text: str) -> str:
    """Name the line and its variable. The value is not shown, because the value can be a secret."""
    name = re.match(r"\s*(?:export\s+)?(\w+)", text)
    line += len(text) - len(text.lstrip("\r\n"))
    subject = f"{path} line {line}" + (f" ({name[1]})" if name else "")
    return f"{subject} cannot be read: write NAME=value, and close every quotation mark"
