"""`amd-service whatif`"""

from typing import Annotated

import typer

from amd_service.cli.options import DEFAULT_SINCE, OneJsonFlag, Since, Until
from amd_service.cli.process import load_settings_and_logging, run


def whatif(
    since: Since = DEFAULT_SINCE,
    until: Until = None,
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
