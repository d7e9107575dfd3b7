"""Runs `amd-service whatif` and prints the result."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.strata import LowConfidence
from amd_service.cli.times import parse_period
from amd_service.database.opening import open_database
from amd_service.detection.decide_again import Thresholds
from amd_service.detection.stated_windows import find_policy
from amd_service.domain import Label, ReviewAnswer
from amd_service.operations.review.error_rates import ErrorRate
from amd_service.operations.what_if import RETRY_AFTER_S, WhatIf, what_if
from amd_service.settings import Settings
from amd_service.web.api.what_if_shapes import WhatIfShape

Table = list[tuple[str, ...]]

PRESENT = "these are the present thresholds; name others, for example --min-confidence-voicemail 0.9"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command. Thresholds without a value are those of the settings."""

    since: str
    until: str | None
    campaign: str | None
    both: float | None
    human: float | None
    voicemail: float | None

    def call_filter(self, now: datetime) -> CallFilter:
        """Return the calls that the options select. Raises ConfigurationError."""
        since, until = parse_period(self.since, self.until, now=now)
        return CallFilter(since=since, until=until, campaign=self.campaign)


async def ask_and_print(settings: Settings, options: Options, *, as_json: bool) -> None:
    """Decide the calls again and print the result. A progress bar is shown on a terminal."""
    now, policy = datetime.now(UTC), await asyncio.to_thread(find_policy, settings)
    thresholds = Thresholds.changed(policy, both=options.both, human=options.human, voicemail=options.voicemail)
    low = LowConfidence.above(human=policy.min_confidence_human, voicemail=policy.min_confidence_voicemail)
    call_filter = options.call_filter(now)
    errors = Console(stderr=True)
    columns = (TextColumn("deciding again"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    async with open_database(settings) as database:
        with Progress(*columns, console=errors, transient=True, disable=as_json or not errors.is_terminal) as progress:
            newest, oldest = call_filter.until or now, call_filter.since or now
            task = progress.add_task("", total=(newest - oldest).total_seconds())
            result = await what_if(
                database,
                call_filter,
                FilterRules(NumberPolicy.from_settings(settings), low),
                SamplingPlan.from_settings(settings, low),
                thresholds,
                retry_after_s=RETRY_AFTER_S,
                progress=lambda reached: progress.update(task, completed=(newest - reached).total_seconds()),
            )
    text = WhatIfShape.of(result).model_dump_json() if as_json else "\n".join(report_lines(result))
    print(text)  # noqa: T201 - the command's output
    if not as_json and options.both is options.human is options.voicemail is None:
        errors.print(PRESENT, soft_wrap=True, highlight=False)


def report_lines(result: WhatIf) -> list[str]:
    """Return the result as lines for people."""
    human, voicemail = result.thresholds.human, result.thresholds.voicemail
    lines = [f"{result.calls} judged calls, if human needs at least {human:g} and voicemail at least {voicemail:g}"]
    if not result.calls:
        return lines
    lines += ["", *_aligned(_changes(result)), "", _summary(result)]
    lines += [
        f"no call has a score of {threshold:g} for {label}, the highest is {result.highest[label] or 0:.3f}: "
        f"none of them would be {label}"
        for label, threshold in ((Label.HUMAN, human), (Label.VOICEMAIL, voicemail))
        if (result.highest[label] or 0) < threshold
    ]
    lines += ["", *_aligned(_rates(result))]
    if len(result.judged_with) > 1:
        lines += ["", "The scores do not all come from one model with the same windows and rule:"]
        lines += _aligned(
            [
                ("model", "windows", "longer window", "calls"),
                *(
                    (
                        each.model_id or "none ran",
                        f"{each.window_ms or '–'} / {each.long_window_ms or '–'} ms",
                        f"{each.long_window or '–'}",
                        f"{n}",
                    )
                    for each, n in result.judged_with
                ),
            ]
        )
    return lines


def _changes(result: WhatIf) -> Table:
    heard = ("human", "voicemail", "other")
    rows: Table = [("now", "then", "calls", *(f"reviewed: {answer}" for answer in heard))]
    for change in result.changes:
        counts = [change.answers[ReviewAnswer.HUMAN], change.answers[ReviewAnswer.VOICEMAIL]]
        others = change.answers.total() - sum(counts)
        then = "not known" if change.after is None else "same" if change.after is change.before else change.after
        rows.append((change.before, then, str(change.calls), *map(str, (*counts, others))))
    return rows


def _summary(result: WhatIf) -> str:
    text = f"{result.changed} verdicts would change ({result.changed / result.calls:.1%})"
    if not result.unknown:
        return text
    return (
        f"{text}; {result.unknown} ({result.unknown / result.calls:.1%}) cannot be known without the audio, because "
        "the detector would have listened longer"
    )


def _rates(result: WhatIf) -> Table:
    names = ("humans called voicemail", "voicemails called human")
    then = [result.at_least] if result.at_least == result.at_most else [result.at_least, result.at_most]
    titles = ("then",) if len(then) == 1 else ("then, at least", "then, at most")
    columns = [
        [_rate(each.humans_called_voicemail), _rate(each.voicemails_called_human)] for each in (result.before, *then)
    ]
    return [("estimated from reviews", "now", *titles), *zip(names, *columns, strict=True)]


def _rate(rate: ErrorRate) -> str:
    if rate.rate is None:
        return "no reviews"
    return f"{rate.rate:.1%} ({rate.low:.1%} to {rate.high:.1%}, {rate.reviews} reviews)"


def _aligned(table: Table) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
