"""The report on reviews: error rates of all judged calls, and how well the reviewers agree."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta

from amd_service.calls import review_results
from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.review_results import CallGroup
from amd_service.calls.review_sample import SamplingPlan
from amd_service.database.pool import Database
from amd_service.domain import Label, ReviewAnswer, Stratum
from amd_service.operations.review.error_rates import Cell, ErrorRates, estimate_error_rates
from amd_service.operations.review.reviewer_agreement import Agreement, measure_agreement
from amd_service.operations.shared_results import SharedResults

# Consecutive weeks are one cell until the cell has this many reviews. Fewer reviews would leave the interval to the
# prior; more weeks would mix weeks in which different shares of the calls were reviewed.
MIN_REVIEWS_IN_CELL = 20
# Rows of a table of the report. Each row takes some milliseconds to compute.
MAX_ROWS = 20
DEFAULT_PERIOD = timedelta(days=30)

NEITHER = (ReviewAnswer.SCREENING, ReviewAnswer.OTHER)

Judged = Counter[CallGroup]
Answers = Counter[tuple[CallGroup, ReviewAnswer]]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Error rates of the calls with one campaign, model or week. `reviews`: number of reviewed calls."""

    name: str | None
    calls: int
    reviews: int
    rates: ErrorRates


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many calls of a group there are, and how many of them were reviewed."""

    stratum: Stratum
    calls: int
    reviews: int


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """`answers`: number of calls for each answer. `by_week`: oldest first; the other tables: most calls first."""

    total: ReportRow
    coverage: list[Coverage]
    answers: Counter[ReviewAnswer]
    agreement: Agreement
    by_campaign: list[ReportRow]
    by_model: list[ReportRow]
    by_week: list[ReportRow]


ErrorReports = SharedResults[CallFilter, ErrorReport]


def share_error_reports(
    database: Database,
    rules: FilterRules,
    plan: SamplingPlan,
    one_at_a_time: asyncio.Lock,
    *,
    keep_s: float = 0.0,
    keep_times: float = 0.0,
) -> ErrorReports:
    """Return the reports by filter. They are made one at a time.

    By default they are not kept: a new answer is in the next report. `keep_s`, `keep_times`: as in SharedResults.
    """

    def report(call_filter: CallFilter) -> Awaitable[ErrorReport]:
        return make_report(database, call_filter, rules, plan)

    return SharedResults(report, one_at_a_time, keep_s=keep_s, keep_times=keep_times)


def select_for_report(call_filter: CallFilter) -> CallFilter:
    """Return the calls that a report is about: those of the filter's period, campaign and tags.

    The other fields of the filter select calls by their result, so error rates of such a selection would mean nothing.
    Without a period: the calls of the last 30 days.
    """
    selection = CallFilter(
        last=call_filter.last,
        since=call_filter.since,
        until=call_filter.until,
        campaign=call_filter.campaign,
        tags=call_filter.tags,
    )
    has_period = selection.last or selection.since or selection.until
    return selection if has_period else replace(selection, last=DEFAULT_PERIOD)


async def make_report(
    database: Database, call_filter: CallFilter, rules: FilterRules, plan: SamplingPlan
) -> ErrorReport:
    """Estimate the error rates of the judged calls that the filter selects. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        judged = await review_results.count_judged(session, call_filter, rules)
        answers = await review_results.count_answers(session, call_filter, rules, plan)
        pairs = await review_results.count_pairs(session, call_filter, rules)
    # The estimates take up to a second of computation.
    return await asyncio.to_thread(_report, judged, answers, measure_agreement(pairs))


async def estimate_by_campaign(
    database: Database, call_filter: CallFilter, rules: FilterRules, plan: SamplingPlan, campaigns: Set[str | None]
) -> dict[str | None, ErrorRates]:
    """Estimate the error rates of those of the campaigns that have reviewed calls. Raises DatabaseUnavailable."""
    async with database.reading() as session:
        judged = await review_results.count_judged(session, call_filter, rules)
        answers = await review_results.count_answers(session, call_filter, rules, plan)

    def estimate() -> dict[str | None, ErrorRates]:
        parts = _parts(judged, answers, lambda group: group.campaign)
        return {name: estimate_error_rates(make_cells(*part)) for name, part in parts.items() if name in campaigns}

    return await asyncio.to_thread(estimate)


def _report(judged: Judged, answers: Answers, agreement: Agreement) -> ErrorReport:
    by_answer: Counter[ReviewAnswer] = Counter()
    reviewed: Counter[Stratum] = Counter()
    for (group, answer), count in answers.items():
        by_answer[answer] += count
        reviewed[group.stratum] += count
    calls: Counter[Stratum] = Counter()
    for group, count in judged.items():
        calls[group.stratum] += count
    return ErrorReport(
        total=_row(None, judged, answers),
        coverage=[Coverage(stratum, calls[stratum], reviewed[stratum]) for stratum in Stratum],
        answers=by_answer,
        agreement=agreement,
        by_campaign=_rows(judged, answers, lambda group: group.campaign),
        by_model=_rows(judged, answers, lambda group: group.model_id),
        by_week=sorted(_rows(judged, answers, lambda group: group.week.isoformat()), key=lambda row: row.name or ""),
    )


def _rows(judged: Judged, answers: Answers, name_of: Callable[[CallGroup], str | None]) -> list[ReportRow]:
    """Return one row for each name with reviewed calls, most calls first, at most MAX_ROWS."""
    parts = _parts(judged, answers, name_of)
    largest = sorted(parts.items(), key=lambda item: -item[1][0].total())[:MAX_ROWS]
    return [_row(name, *part) for name, part in largest]


def _parts(
    judged: Judged, answers: Answers, name_of: Callable[[CallGroup], str | None]
) -> dict[str | None, tuple[Judged, Answers]]:
    """Return the calls and answers of each name with reviewed calls."""
    parts: defaultdict[str | None, tuple[Judged, Answers]] = defaultdict(lambda: (Counter(), Counter()))
    for group, count in judged.items():
        parts[name_of(group)][0][group] += count
    for (group, answer), count in answers.items():
        parts[name_of(group)][1][group, answer] += count
    return {name: part for name, part in parts.items() if part[1]}


def _row(name: str | None, judged: Judged, answers: Answers) -> ReportRow:
    return ReportRow(name, judged.total(), answers.total(), estimate_error_rates(make_cells(judged, answers)))


def make_cells(judged: Judged, answers: Answers) -> list[Cell]:
    """Return the cells of the estimate: calls of one group and label, of one or several consecutive weeks.

    In some weeks, people review more than in others. Within a cell, the weights of all reviews are equal, so a cell
    must not be longer than necessary.
    """
    calls: Counter[tuple[Stratum, Label, date]] = Counter()
    found: Counter[tuple[Stratum, Label, date, ReviewAnswer]] = Counter()
    for group, count in judged.items():
        calls[group.stratum, group.label, group.week] += count
    for (group, answer), count in answers.items():
        found[group.stratum, group.label, group.week, answer] += count
    cells: defaultdict[tuple[Stratum, Label], list[Cell]] = defaultdict(list)
    for key in sorted(calls):
        cell = Cell(
            label=key[1],
            calls=calls[key],
            human=found[*key, ReviewAnswer.HUMAN],
            voicemail=found[*key, ReviewAnswer.VOICEMAIL],
            neither=sum(found[*key, answer] for answer in NEITHER),
        )
        own = cells[key[:2]]
        if own and own[-1].reviewed < MIN_REVIEWS_IN_CELL:
            cell = _merge(own.pop(), cell)
        own.append(cell)
    for own in cells.values():
        if len(own) > 1 and own[-1].reviewed < MIN_REVIEWS_IN_CELL:
            last = own.pop()
            own.append(_merge(own.pop(), last))
    return [cell for own in cells.values() for cell in own]


def _merge(first: Cell, second: Cell) -> Cell:
    return Cell(
        first.label,
        first.calls + second.calls,
        first.human + second.human,
        first.voicemail + second.voicemail,
        first.neither + second.neither,
    )
