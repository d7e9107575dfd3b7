"""Prints what was found, a line each."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from amd_service.cli.doctor.examination import examine
from amd_service.cli.doctor.finding import Finding, Health
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings

_COLOUR = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "red"}


async def print_findings(settings: Settings, *, as_json: bool) -> bool:
    """Print each finding as it comes; whether nothing failed."""
    well = True
    async for finding in examine(settings):
        well = well and finding.health is not Health.FAIL
        _print(finding, as_json=as_json)
    return well


def print_unreadable(error: ConfigurationError, *, as_json: bool) -> None:
    """Print why there are no settings to examine, a finding for each of them that is wrong."""
    for line in str(error).splitlines():
        _print(Finding("settings", Health.FAIL, line), as_json=as_json)


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - the command's output
        return
    console = Console()
    line = f"[{_COLOUR[finding.health]}]{finding.health:>4}[/]  [bold]{finding.check}[/]  {escape(finding.text)}"
    # Wrapped at a terminal's width only: elsewhere a URL would be cut in two.
    console.print(line, soft_wrap=not console.is_terminal)
