"""Options that several commands share."""

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
OneJsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LiveFlag = Annotated[bool, typer.Option("--live", help="Also stream each call while it is in progress (AMD_LIVE).")]
Pace = Annotated[
    float, typer.Option(min=0.1, max=16, help="Speed of the stream with --live. 4 means four times real time.")
]
# The calls of a period are the same for every command and for the HTTP interface: those with `created_at` in it.
Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="TIME", help="Calls that began since this time: 2026-11-20, or 90m, 24h or 7d before now."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Calls that began before this time. Default: now."),
]
# As on /review/report and in GET /api/stats.
DEFAULT_SINCE = "30d"
