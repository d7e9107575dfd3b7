"""Prints check results, one per line."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings

_COLOUR = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "red"}


async def check_and_print(settings: Settings, *, as_json: bool) -> bool:
    """Print each result as soon as its check has ended. Returns False if a check failed."""
    passed = True
    async for result in run_checks(settings):
        passed = passed and result.health is not Health.FAIL
        print_result(result, as_json=as_json)
    return passed


def print_invalid_settings(error: ConfigurationError, *, as_json: bool) -> None:
    """Print each line of a settings error as one failed check."""
    for line in str(error).splitlines():
        print_result(CheckResult("settings", Health.FAIL, line), as_json=as_json)


def print_result(result: CheckResult, *, as_json: bool) -> None:
    """Print one result, in colour or as JSON."""
    if as_json:
        print(json.dumps(asdict(result)), flush=True)  # noqa: T201 - the command's output
        return
    console = Console()
    line = f"[{_COLOUR[result.health]}]{result.health:>4}[/]  [bold]{result.check}[/]  {escape(result.text)}"
    # Wrap lines only in a terminal. In a file or a pipe, wrapping would split URLs.
    console.print(line, soft_wrap=not console.is_terminal)
