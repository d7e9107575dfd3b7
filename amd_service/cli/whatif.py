"""`amd-service whatif`"""

from typing import Annotated

import typer

from amd_service.cli.options import OneJsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def whatif(
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Calls that began since this time, e.g. 2026-11-20 or 7d.")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Calls that began before this time. Default: now.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Minimum confidence of both labels, instead of AMD_MIN_CONFIDENCE.")
    ] = None,
    min_confidence_human: Annotated[
        float | None, typer.Option(help="Minimum confidence of human, instead of AMD_MIN_CONFIDENCE_HUMAN.")
    ] = None,
    min_confidence_voicemail: Annotated[
        float | None, typer.Option(help="Minimum confidence of voicemail, instead of AMD_MIN_CONFIDENCE_VOICEMAIL.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Only calls of this campaign.")] = None,
    as_json: OneJsonFlag = False,
) -> None:
    """Show which verdicts on past calls would change with other thresholds, and how often they would be wrong.

    Uses the stored scores, without audio and without a model. Changes nothing.
    """
    from amd_service.cli.whatif_report import Options, ask_and_print

    options = Options(since, until, campaign, min_confidence, min_confidence_human, min_confidence_voicemail)
    run(ask_and_print(load_settings_and_logging(quiet=True), options, as_json=as_json))
