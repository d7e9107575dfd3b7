"""Options that several commands share."""

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
OneJsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LiveFlag = Annotated[bool, typer.Option("--live", help="Also stream each call while it is in progress (AMD_LIVE).")]
Pace = Annotated[
    float, typer.Option(min=0.1, max=16, help="Speed of the stream with --live. 4 means four times real time.")
]
