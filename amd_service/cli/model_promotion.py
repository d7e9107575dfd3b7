"""Runs `amd-service model promote` and prints the result."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from amd_service.detection.classifier.hub import DEMO
from amd_service.detection.classifier.known_models import find_model
from amd_service.lab.evaluation.rates import Mean, Rate
from amd_service.lab.promotion import Promotion, examine
from amd_service.settings import Settings


async def promote_model(
    settings: Settings, model: str, data: Path, min_accuracy: float | None, min_clips: int, *, as_json: bool
) -> bool:
    """Examine the model and print the result. Returns whether the model may be used."""
    known = find_model(settings, model)
    # A relative path would depend on the directory in which the service starts.
    name = model if known.id == DEMO or known.revision is not None else str(known.folder)
    found = await _examine(settings, name, data, min_accuracy, min_clips, is_quiet=as_json)
    if as_json:
        document = asdict(found) | {"promoted": not found.refusals}
        print(json.dumps(document, ensure_ascii=False, default=str))  # noqa: T201 - the command's output
    else:
        print("\n".join(_lines(found)))  # noqa: T201
    return not found.refusals


async def _examine(
    settings: Settings, model: str, data: Path, min_accuracy: float | None, min_clips: int, *, is_quiet: bool
) -> Promotion:
    console = Console(stderr=True)
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=is_quiet or not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        return await examine(
            settings,
            model,
            data,
            min_accuracy=min_accuracy,
            min_clips=min_clips,
            started=lambda total: progress.update(task, total=total),
            judged=lambda: progress.advance(task),
        )


def _lines(found: Promotion) -> list[str]:
    figures = found.figures
    lines = [
        f"{found.model.id} on {found.model.engine} {found.model.precision}, golden clips: {found.model.proof}",
        f"right label                  {_rate(figures.right)}",
        f"humans called voicemail      {_rate(figures.human.lost)}",
        f"voicemails called human      {_rate(figures.voicemail.lost)}",
        f"undecided                    {_rate(figures.undecided)}",
    ]
    if found.comparison is not None and found.present is not None:
        compared = found.comparison
        lines += [
            f"against {found.present.id}: right label {_mean(compared.right)}, humans called voicemail "
            f"{_mean(compared.humans_lost)}, exact McNemar test p = {compared.p_value:.3g}"
        ]
    if found.refusals:
        return [*lines, "", *(f"Not promoted: {reason}." for reason in found.refusals)]
    notes = [f"Note: {note}." for note in found.notes]
    if found.comparison is not None and found.comparison.right.value < 0:
        notes.append(
            "Note: the model has fewer right labels than the present one. The difference can be chance, so it is not "
            "refused. Compare the two on more recordings."
        )
    return [*lines, "", f"To change:      {found.change}", f"To change back: {found.change_back}", *notes]


def _rate(rate: Rate) -> str:
    if rate.share is None or rate.low is None or rate.high is None:
        return "no such clip"
    return f"{rate.share:.1%} ({rate.low:.1%} to {rate.high:.1%}) of {rate.of} clips"


def _mean(mean: Mean | None) -> str:
    if mean is None:
        return "not known"
    if mean.low is None or mean.high is None:
        return f"{mean.value:+.1%}"
    return f"{mean.value:+.1%} ({mean.low:+.1%} to {mean.high:+.1%})"
