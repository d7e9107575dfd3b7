"""`amd-service evaluate`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def evaluate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Dataset folder with labelled recordings.")],
    model: Annotated[
        str | None, typer.Option(help="Model to use instead of AMD_MODEL: hub id, folder, or `demo`.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="MODEL", help="Second model, for paired differences.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, validation, test or all. By default test, or all if the dataset has no splits."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column whose equal values make clips dependent. Default: group."),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Split the figures by this column. Can be repeated.")
    ] = None,
    cost_lost_human: Annotated[float, typer.Option(min=0, help="Cost of a human called voicemail.")] = 5.0,
    cost_missed_voicemail: Annotated[float, typer.Option(min=0, help="Cost of a voicemail called human.")] = 1.0,
    cost_undecided: Annotated[float, typer.Option(min=0, help="Cost of a call without a label.")] = 0.25,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html, evaluation.json and clips.csv here.")
    ] = None,
    audio_mb: Annotated[
        float, typer.Option(min=0, help="Most MB of recordings in report.html. 0 leaves them out.")
    ] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Measure a model on labelled recordings with the detector of the service.

    Each figure has a 95 % interval. Files that cannot be read are reported and left out.
    """
    # A new model may contradict the golden clips. Its figures are then of interest.
    settings = load_settings_and_logging(quiet=True, model=model, golden="warn")
    from amd_service.cli.extra import EVALUATE, raise_if_extra_missing

    raise_if_extra_missing("evaluate", EVALUATE)
    from amd_service.lab.evaluation.evaluate_command import Request, evaluate_and_print
    from amd_service.lab.evaluation.measurement import Question
    from amd_service.lab.evaluation.thresholds import Costs

    other = settings.with_model(against) if against else None
    costs = Costs(cost_lost_human, cost_missed_voicemail, cost_undecided)
    question = Question(costs, cluster, tuple(by or ()))
    run(evaluate_and_print(Request(data, split, out, audio_mb, as_json, model), question, settings, other))
