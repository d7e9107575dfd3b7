"""Counts the calls that a filter selects: in all, and over time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import INTERVAL, array
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_filter import CallFilter, FilterRules, conditions
from amd_service.calls.tables import FIRST, CallLog, Recording
from amd_service.domain import AnalysisState, Label, Source

# Maximum number of calls to count, the newest first. Postgres counts them in a fraction of a second.
MOST_CALLS = 100_000
# Maximum number of due recordings to count.
MOST_DUE = 10_000
# Period to count if the filter has no start.
DEFAULT_PERIOD = timedelta(hours=24)
MOST_BUCKETS = 60

FAILED = "failed"
# The lines of the chart, in the order of the legend.
OUTCOMES = (Label.HUMAN.value, Label.VOICEMAIL.value, Label.UNDECIDED.value, FAILED)

_MINUTES = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 10080, 43200)
# Buckets of a week begin on a Monday.
_ORIGIN = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is counted. `is_default`: the filter has no start."""

    start: datetime
    end: datetime
    is_default: bool

    @property
    def bucket(self) -> timedelta:
        """Width of a bucket, so that the period has at most MOST_BUCKETS of them."""
        least = (self.end - self.start) / MOST_BUCKETS
        widths = (timedelta(minutes=minutes) for minutes in _MINUTES)
        return next((width for width in widths if width >= least), timedelta(minutes=_MINUTES[-1]))


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of calls at the time `counted_at`.

    `labels`: calls by label. `failures`: failed calls by reason, most frequent first. `other`: calls that are neither
    judged nor failed. `is_cut`: only the newest MOST_CALLS calls are counted. `verdict_s`: median and 95th percentile
    of the seconds from the enqueueing of a recording to its verdict; None without verdicts. `due`: recordings that are
    due now, at most MOST_DUE. `over_time`: calls by start of the bucket and outcome.
    """

    counted_at: datetime
    period: Period
    calls: int
    is_cut: bool
    labels: Mapping[str, int]
    failures: Mapping[str, int]
    other: int
    verdict_s: tuple[float, float] | None
    due: int
    oldest_due_s: float | None
    over_time: Mapping[datetime, Mapping[str, int]]


async def count_calls(session: AsyncSession, call_filter: CallFilter, rules: FilterRules) -> Totals:
    """Count the calls of a filter. Without a start, count the calls of the last DEFAULT_PERIOD.

    A search for a SID or a number has no default period, because it selects few calls.
    """
    now: datetime = (await session.execute(select(func.now()))).scalar_one()
    period = await _find_period(session, call_filter, rules, now)
    wanted = conditions(call_filter, rules)
    if period.is_default:
        wanted.append(CallLog.created_at >= period.start)
    bucket = period.bucket
    rows = (await session.execute(_groups(wanted, bucket))).all()
    due, oldest_due_s = (await session.execute(_due(call_filter, rules))).one()
    (whole,) = (row for row in rows if row.is_whole)
    groups = [row for row in rows if row.by_reason]
    over_time = [(row.bucket, row.outcome, row.calls) for row in rows if row.by_bucket]
    is_cut = whole.calls > MOST_CALLS
    if is_cut:
        period = replace(period, start=min(bucket for bucket, _, _ in over_time))
    return Totals(
        counted_at=now,
        period=period,
        calls=min(whole.calls, MOST_CALLS),
        is_cut=is_cut,
        labels={label: sum(row.calls for row in groups if row.label == label) for label in Label},
        failures=dict(Counter({row.reason: row.calls for row in groups if row.outcome == FAILED}).most_common()),
        other=sum(row.calls for row in groups if row.outcome is None),
        verdict_s=None if whole.verdict_ms is None else tuple(ms / 1000 for ms in whole.verdict_ms),
        due=due,
        oldest_due_s=None if oldest_due_s is None else float(oldest_due_s),
        over_time=_by_bucket(period, bucket, over_time),
    )


async def _find_period(session: AsyncSession, call_filter: CallFilter, rules: FilterRules, now: datetime) -> Period:
    end = now if call_filter.until is None else max(_ORIGIN, min(call_filter.until, now))
    starts = [] if call_filter.since is None else [call_filter.since]
    if call_filter.last is not None:
        starts.append(now - call_filter.last)
    if not starts and call_filter.search is not None:
        first = await session.scalar(select(func.min(CallLog.created_at)).where(*conditions(call_filter, rules)))
        starts.append(first or end - DEFAULT_PERIOD)
    is_default = not starts
    start = max(_ORIGIN, *starts) if starts else end - DEFAULT_PERIOD
    return Period(min(start, end), end, is_default)


def _groups(wanted: Sequence[ColumnElement[bool]], bucket: timedelta) -> Select[*tuple[Any, ...]]:
    """Count the newest calls in one pass: all of them, by label and reason, and by bucket and outcome."""
    outcome = case((CallLog.analysis_state == AnalysisState.FAILED, FAILED), else_=CallLog.label)
    is_recorded = CallLog.verdict_source == Source.RECORDING
    newest = (
        select(
            func.date_bin(literal(bucket, INTERVAL), CallLog.created_at, literal(_ORIGIN)).label("bucket"),
            outcome.label("outcome"),
            CallLog.label,
            CallLog.reason,
            case((is_recorded, CallLog.verdict_ms)).label("verdict_ms"),
        )
        .where(*wanted)
        .order_by(CallLog.created_at.desc())
        .limit(MOST_CALLS + 1)
        .subquery()
    )
    by_reason, by_bucket = (newest.c.outcome, newest.c.label, newest.c.reason), (newest.c.bucket, newest.c.outcome)
    return select(
        newest.c.bucket,
        newest.c.outcome,
        newest.c.label,
        newest.c.reason,
        func.count().label("calls"),
        # grouping() is 0 for a column by which the row is grouped.
        (func.grouping(newest.c.reason) == 0).label("by_reason"),
        (func.grouping(newest.c.bucket) == 0).label("by_bucket"),
        (func.grouping(newest.c.outcome) == 1).label("is_whole"),
        case(
            (
                func.grouping(newest.c.outcome) == 1,
                func.percentile_cont(array([0.5, 0.95])).within_group(newest.c.verdict_ms),
            )
        ).label("verdict_ms"),
    ).group_by(func.grouping_sets(tuple_(*by_reason), tuple_(*by_bucket), tuple_()))


def _due(call_filter: CallFilter, rules: FilterRules) -> Select[*tuple[Any, ...]]:
    """Count the due recordings of all calls of the filter, also of calls before the default period."""
    due = select(Recording.available_at).where(text(FIRST), Recording.available_at <= func.now())
    if wanted := conditions(call_filter, rules):
        due = due.join(CallLog, CallLog.call_sid == Recording.call_sid).where(*wanted)
    first = due.order_by(Recording.available_at).limit(MOST_DUE).subquery()
    return select(func.count(), func.extract("epoch", func.now() - func.min(first.c.available_at))).select_from(first)


def _by_bucket(
    period: Period, width: timedelta, rows: Sequence[tuple[datetime, str | None, int]]
) -> Mapping[datetime, Mapping[str, int]]:
    """Return the counts of every bucket of the period, also of buckets without calls."""
    first = _ORIGIN + (period.start - _ORIGIN) // width * width
    starts = [first + number * width for number in range(int((period.end - first) / width) + 1)]
    counts: dict[datetime, dict[str, int]] = {start: dict.fromkeys(OUTCOMES, 0) for start in starts}
    for bucket, outcome, calls in rows:
        if outcome is not None and bucket in counts:
            counts[bucket][outcome] = calls
    return counts
