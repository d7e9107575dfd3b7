"""`amd-service rejudge`"""

from typing import Annotated

import typer

from amd_service.cli.options import OneJsonFlag, Since, Until
from amd_service.cli.process import load_settings_and_logging, run


def rejudge(
    since: Since,
    until: Until = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Another model, only for comparison: hub id or folder. Default: AMD_MODEL, for new verdicts."
        ),
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Only calls of this campaign.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of calls; with --model, of recordings.")
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=6000, help="Maximum number of recordings per minute. Default with --model: 60."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the number of recordings.")] = False,
    as_json: OneJsonFlag = False,
) -> None:
    """Judge past calls again whose recordings Twilio still stores. No hang-up or redirect follows.

    Without --model: requeue the recordings, and workers judge them after all new recordings. Calls keep their verdict
    until the new verdict is written. The old verdict stays in the table `verdict`.

    With --model: download the recordings, judge them in this process and store the runs like those of a shadow model.
    Calls keep their verdict. `amd-service model compare` shows the differences.
    """
    from amd_service.cli.rejudge_past_calls import Options, rejudge_and_print

    options = Options(since, until, model, campaign, limit, per_minute, dry_run=dry_run)
    run(rejudge_and_print(load_settings_and_logging(quiet=True), options, as_json=as_json))
