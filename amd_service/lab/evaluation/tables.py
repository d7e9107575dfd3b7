"""The tables of an evaluation on a terminal."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from amd_service.lab.evaluation.comparison import Comparison
from amd_service.lab.evaluation.measurement import FIGURE_NAMES, WINDOW_NAMES, Figures, Measurement
from amd_service.lab.evaluation.rates import FEW_CLUSTERS, Interval, Mean, Rate
from amd_service.lab.evaluation.run_evaluation import Evaluation
from amd_service.lab.evaluation.thresholds import MIN_INDEPENDENT, Recommendation


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the figures, and the recommended settings."""
    console.print(Group(*_parts(evaluation)), highlight=False)


def describe_rate(rate: Rate) -> str:
    """Return a share with its interval and its numbers, for example `0.90 [0.85, 0.94] 45/50`."""
    if rate.share is None:
        return "–"
    return f"{rate.share:.3f} [{rate.low:.3f}, {rate.high:.3f}] {rate.count}/{rate.of}"


def describe_mean(mean: Mean) -> str:
    """Return a difference with its sign and its interval."""
    interval = "" if mean.low is None else f" [{mean.low:+.3f}, {mean.high:+.3f}]"
    return f"{mean.value:+.3f}{interval}"


def describe_interval(value: float | None, interval: Interval | None) -> str:
    """Return a value with its interval, if there is one."""
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def intervals_note(evaluation: Evaluation) -> str:
    """Return a sentence on how the intervals were computed, with a warning if there are few clusters."""
    if evaluation.clusters is None:
        return "95 % intervals by Wilson, for independent clips. Add a column `group` if clips share callers or voices."
    note = f"95 % intervals by bootstrap over {evaluation.clusters} clusters ({evaluation.question.cluster})."
    if evaluation.clusters < FEW_CLUSTERS:
        note += f" With fewer than {FEW_CLUSTERS} clusters they are too narrow."
    return note


def recommended_lines(found: Recommendation) -> list[str]:
    """Return the settings of the cheapest thresholds."""
    return [
        f"AMD_MIN_CONFIDENCE_HUMAN={found.best.human:.2f}",
        f"AMD_MIN_CONFIDENCE_VOICEMAIL={found.best.voicemail:.2f}",
    ]


def recommendation_note(found: Recommendation) -> str:
    """Say whether the cheapest thresholds are a gain on clips that they were not chosen with."""
    if found.change is None or found.cost_held_out is None:
        return "One cluster is not enough to measure a gain. Keep the present thresholds."
    change = f"On held-out folds they change the cost per clip by {describe_mean(found.change)}"
    if found.is_better:
        return f"{change}, from {found.cost_now.value:.3f} to {found.cost_held_out:.3f}."
    if found.independent < MIN_INDEPENDENT:
        cure = f"{found.independent} independent clips are too few to choose thresholds; {MIN_INDEPENDENT} are needed"
    else:
        cure = "The interval contains 0"
    return f"{change}. {cure}. Keep the present thresholds."


def _parts(evaluation: Evaluation) -> Iterator[RenderableType]:
    split = f", split {evaluation.split}" if evaluation.split else ""
    yield Text(f"{evaluation.model.figures.clips} clips of {evaluation.data}{split}")
    yield Text(intervals_note(evaluation), style="dim")
    for warning in evaluation.warnings:
        yield Text(f"Warning: {warning}", style="yellow")
    for name, measured in (("", evaluation.model), ("against: ", evaluation.against)):
        if measured is not None:
            yield from _model_parts(f"{name}{measured.model.id}", measured)
    if evaluation.comparison is not None:
        yield _comparison(evaluation.comparison)
    for unreadable in evaluation.unreadable:
        yield Text(f"not judged: {unreadable.error}", style="red")


def _model_parts(title: str, measured: Measurement) -> Iterator[RenderableType]:
    yield _rates(title, measured.figures)
    yield _confusion(measured)
    yield _further(measured)
    for column, values in measured.groups.items():
        yield _groups(column, values)
    if measured.others:
        yield _others(measured)
    yield Text(f"\nCheapest thresholds on these clips: {' '.join(recommended_lines(measured.recommendation))}")
    yield Text(recommendation_note(measured.recommendation) + "\n")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _rates(title: str, figures: Figures) -> Table:
    table = _table(title, "", "human", "voicemail")
    classes = (figures.human, figures.voicemail)
    for name, row in FIGURE_NAMES.items():
        table.add_row(row, *(describe_rate(getattr(each, name)) for each in classes))
    return table


def _confusion(measured: Measurement) -> Table:
    table = _table("true label, by the label that it got", "", *next(iter(measured.confusion.values())))
    for truth, row in measured.confusion.items():
        table.add_row(truth, *map(str, row.values()))
    return table


def _further(measured: Measurement) -> Table:
    table = _table("", "figure", "value")
    table.add_row("right, of all", describe_rate(measured.figures.right))
    table.add_row("right, of those decided", describe_rate(measured.figures.right_of_decided))
    table.add_row("undecided", describe_rate(measured.figures.undecided))
    for window, roc in measured.roc.items():
        table.add_row(
            f"voicemail scores higher (AUC), {WINDOW_NAMES[window]}", describe_interval(roc.auc, roc.interval)
        )
    error = measured.calibration.expected_error
    table.add_row("calibration error (ECE)", "–" if error is None else f"{error:.3f}")
    cost = measured.recommendation.cost_now
    interval = None if cost.low is None or cost.high is None else Interval(cost.low, cost.high)
    table.add_row("cost per clip", describe_interval(cost.value, interval))
    if measured.times is not None:
        times = measured.times
        table.add_row(
            "time per clip, one at a time", f"median {times.median_ms:.0f} ms, 95 % within {times.p95_ms:.0f} ms"
        )
    table.add_row("clips per second, in batches", f"{measured.clips_per_s:.1f}")
    return table


def _groups(column: str, values: dict[str, Figures]) -> Table:
    table = _table(f"by {column}", column, "clips", "humans found", "voicemails found", "right of decided", "undecided")
    for value, each in values.items():
        rates = (each.human.recall, each.voicemail.recall, each.right_of_decided, each.undecided)
        table.add_row(value, str(each.clips), *map(describe_rate, rates))
    return table


def _others(measured: Measurement) -> Table:
    table = _table("other true labels", "", "called human", "called voicemail", "undecided")
    for label, other in measured.others.items():
        table.add_row(label, *map(describe_rate, (other.human, other.voicemail, other.undecided)))
    return table


def _comparison(found: Comparison) -> Table:
    table = _table("first model minus second model, on the same clips", "", "")
    table.add_row("both right", str(found.both))
    table.add_row("only the first model right", str(found.only_this))
    table.add_row("only the second model right", str(found.only_other))
    table.add_row("neither right", str(found.neither))
    table.add_row("p value of the exact McNemar test", "< 0.0001" if found.p_value < 1e-4 else f"{found.p_value:.4f}")
    table.add_row("share of right labels", describe_mean(found.right))
    if found.humans_lost is not None:
        table.add_row("share of humans called voicemail", describe_mean(found.humans_lost))
    table.add_row("cost per clip", describe_mean(found.cost))
    return table
