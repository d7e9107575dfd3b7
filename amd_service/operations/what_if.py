"""What-if: the verdicts that past calls would have with other thresholds, from their stored scores."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_filter import CallFilter, FilterRules
from amd_service.calls.call_pages import Cursor
from amd_service.calls.review_results import CallGroup
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.stored_verdicts import StoredCall, read_stored_calls
from amd_service.calls.tables import MEDIA_STREAM
from amd_service.database.pool import Database
from amd_service.detection.decide_again import Thresholds, decide_again
from amd_service.domain import Label, LongWindowRule, ReviewAnswer
from amd_service.errors import DatabaseMisconfigured, DatabaseUnavailable
from amd_service.operations.review.error_rates import ErrorRates, estimate_error_rates
from amd_service.operations.review.error_report import make_cells, select_for_report
from amd_service.operations.shared_results import SharedResults
from amd_service.telemetry import get_logger

# Calls per transaction. A batch takes about 20 ms.
BATCH = 250
# Calls that one what-if of a program decides again, the newest first.
MOST_CALLS = 20_000
# Seconds before each further attempt of a command to read a batch. A million calls take minutes, and a busy database
# that does not respond for a few seconds is no reason to begin again.
RETRY_AFTER_S = (1.0, 5.0, 20.0)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """Calls whose label would change from `before` to `after`, or would stay. `after`: None if it cannot be known.

    `answers`: what reviewers heard in these calls.
    """

    before: Label
    after: Label | None
    calls: int
    answers: Counter[ReviewAnswer]


@dataclass(frozen=True, slots=True)
class JudgedWith:
    """The origin of the scores of a call: its model, and the windows with their rule. None if no model ran."""

    model_id: str | None
    window_ms: object
    long_window_ms: object
    long_window: object

    @classmethod
    def of(cls, stored: StoredCall) -> Self:
        verdict = stored.verdicts.get(stored.call.recording_sid or "")
        policy = verdict.policy if verdict is not None and verdict.runs else {}
        # Verdicts of earlier versions do not state the rule.
        rule = policy.get("long_window", LongWindowRule.UNSURE.value) if policy else None
        return cls(stored.call.model_id, policy.get("window_ms"), policy.get("long_window_ms"), rule)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The result for the judged calls that `selection` selects.

    `is_cut`: only the newest `calls` calls were read. `before`: error rates of the present verdicts. `at_least`,
    `at_most`: error rates with the thresholds, if each call whose verdict cannot be known is no error, or an error.
    `highest`: highest score of each label in any run. `judged_with`: most calls first.
    """

    selection: CallFilter
    thresholds: Thresholds
    calls: int
    is_cut: bool
    changes: list[Change]
    before: ErrorRates
    at_least: ErrorRates
    at_most: ErrorRates
    highest: dict[Label, float | None]
    judged_with: list[tuple[JudgedWith, int]]

    @property
    def changed(self) -> int:
        """Number of calls that would get another label."""
        return sum(each.calls for each in self.changes if each.after not in (each.before, None))

    @property
    def unknown(self) -> int:
        """Number of calls whose label cannot be known without the audio."""
        return sum(each.calls for each in self.changes if each.after is None)


@dataclass(slots=True)
class _Counts:
    """Counts of the calls that were read so far."""

    calls: int = 0
    is_cut: bool = False
    moves: Counter[tuple[Label, Label | None]] = field(default_factory=Counter)
    answers: Counter[tuple[Label, Label | None, ReviewAnswer]] = field(default_factory=Counter)
    groups: Counter[tuple[CallGroup, Label | None]] = field(default_factory=Counter)
    sampled: Counter[tuple[CallGroup, Label | None, ReviewAnswer]] = field(default_factory=Counter)
    judged_with: Counter[JudgedWith] = field(default_factory=Counter)
    highest: dict[Label, float] = field(default_factory=dict)

    def add(self, stored: StoredCall, after: Label | None) -> None:
        """Count a call. `after`: its label with the thresholds."""
        before = stored.label
        self.calls += 1
        group = CallGroup(stored.stratum, before, stored.week, None, None)
        self.moves[before, after] += 1
        self.groups[group, after] += 1
        if stored.answer is not None:
            self.answers[before, after, stored.answer] += 1
            if stored.is_sampled:
                self.sampled[group, after, stored.answer] += 1
        self.judged_with[JudgedWith.of(stored)] += 1
        for verdict in stored.verdicts.values():
            for run in verdict.runs:
                for label, score in ((Label.HUMAN, run.scores.human), (Label.VOICEMAIL, run.scores.voicemail)):
                    self.highest[label] = max(score, self.highest.get(label, 0.0))


WhatIfs = SharedResults[tuple[CallFilter, Thresholds], WhatIf]


def share_what_ifs(
    database: Database, rules: FilterRules, plan: SamplingPlan, one_at_a_time: asyncio.Lock, *, keep_s: float
) -> WhatIfs:
    """Return what-ifs by selection and thresholds, about at most MOST_CALLS calls. They are made one at a time.

    `one_at_a_time`: a lock that is held while a batch is read, so that other slow queries come in between.
    """

    def compute(key: tuple[CallFilter, Thresholds]) -> Awaitable[WhatIf]:
        return what_if(database, key[0], rules, plan, key[1], limit=MOST_CALLS, one_at_a_time=one_at_a_time)

    return SharedResults(compute, asyncio.Lock(), keep_s=keep_s)


async def what_if(
    database: Database,
    call_filter: CallFilter,
    rules: FilterRules,
    plan: SamplingPlan,
    thresholds: Thresholds,
    *,
    limit: int | None = None,
    one_at_a_time: AbstractAsyncContextManager[Any] | None = None,
    retry_after_s: Sequence[float] = (),
    progress: Callable[[datetime], None] | None = None,
) -> WhatIf:
    """Decide the judged calls of a filter's period, campaign and tags again, without their audio.

    Reads the newest calls first, at most `limit` calls. `one_at_a_time`: a lock for reading a batch. `progress` gets
    the time at which the oldest call of each batch began. `retry_after_s`: pauses before further attempts to read a
    batch. Raises DatabaseUnavailable.
    """
    selection, counts = select_for_report(call_filter), _Counts()
    batches = read_batches(
        database,
        selection,
        rules,
        plan,
        limit=None if limit is None else limit + 1,
        one_at_a_time=one_at_a_time,
        retry_after_s=retry_after_s,
    )
    async for batch in batches:
        for stored in batch:
            if counts.calls == limit:
                counts.is_cut = True
            else:
                counts.add(stored, label_again(stored, thresholds))
        if progress is not None:
            progress(batch[-1].call.created_at)
    # The estimates take up to a second of computation.
    return await asyncio.to_thread(_summarise, counts, selection, thresholds)


async def read_batches(
    database: Database,
    call_filter: CallFilter,
    rules: FilterRules,
    plan: SamplingPlan,
    *,
    limit: int | None = None,
    one_at_a_time: AbstractAsyncContextManager[Any] | None = None,
    retry_after_s: Sequence[float] = (),
) -> AsyncIterator[list[StoredCall]]:
    """Read the judged calls of a filter with their verdicts, newest first, a transaction for each batch."""
    older_than, left = None, limit
    while left is None or left > 0:
        size = BATCH if left is None else min(BATCH, left)
        read = partial(
            read_stored_calls, call_filter=call_filter, rules=rules, plan=plan, older_than=older_than, limit=size
        )
        batch = await _read_batch(database, read, one_at_a_time or nullcontext(), retry_after_s)
        if batch:
            yield batch
        if len(batch) < size:
            return
        older_than = Cursor.of(batch[-1].call)
        left = None if left is None else left - size


async def _read_batch(
    database: Database,
    read: Callable[[AsyncSession], Awaitable[list[StoredCall]]],
    one_at_a_time: AbstractAsyncContextManager[Any],
    retry_after_s: Sequence[float],
) -> list[StoredCall]:
    for pause_s in (*retry_after_s, None):
        try:
            async with one_at_a_time, database.reading() as session:
                return await read(session)
        except DatabaseUnavailable as error:
            if pause_s is None or isinstance(error, DatabaseMisconfigured):
                raise
            log.warning("batch not read, retrying", error=str(error), pause_s=pause_s)
            await asyncio.sleep(pause_s)
    raise AssertionError("the last attempt returns or raises")


def label_again(stored: StoredCall, thresholds: Thresholds) -> Label | None:
    """Return the label that a call would have with these thresholds, or None if it cannot be known."""
    live = {row.recording_sid for row in stored.recordings if row.source == MEDIA_STREAM}
    again = {sid: decide_again(verdict, thresholds, is_live=sid in live) for sid, verdict in stored.verdicts.items()}
    return stored.conclude_again({sid: None if verdict is None else verdict.label for sid, verdict in again.items()})


def _summarise(counts: _Counts, selection: CallFilter, thresholds: Thresholds) -> WhatIf:
    at_least, at_most = _error_rates(counts)
    return WhatIf(
        selection=selection,
        thresholds=thresholds,
        calls=counts.calls,
        is_cut=counts.is_cut,
        changes=[
            Change(
                before,
                after,
                count,
                Counter({answer: counts.answers[before, after, answer] for answer in ReviewAnswer}),
            )
            for (before, after), count in sorted(
                counts.moves.items(), key=lambda move: (-move[1], move[0][0], move[0][1] or Label.VOICEMAIL)
            )
        ],
        before=estimate_error_rates(make_cells(*_regrouped(counts, lambda before, _: before))),
        at_least=at_least,
        at_most=at_most,
        highest={label: counts.highest.get(label) for label in (Label.HUMAN, Label.VOICEMAIL)},
        judged_with=counts.judged_with.most_common(),
    )


def _error_rates(counts: _Counts) -> tuple[ErrorRates, ErrorRates]:
    """Return the error rates if no call that cannot be known is an error, and if each of them is one.

    The groups of the sample stay those of the present verdicts, because people drew the calls from them. The label in a
    group is the new one: its number of calls is known exactly, for reviewed and other calls.
    """
    known = make_cells(*_regrouped(counts, lambda _, after: after))
    # Not in a cell with calls that would be undecided: the two kinds of calls can differ.
    unknown = make_cells(*_regrouped(counts, lambda _, after: Label.UNDECIDED if after is None else None))

    def rates(label: Label) -> ErrorRates:
        return estimate_error_rates([*known, *(replace(cell, label=label) for cell in unknown)])

    if not unknown:
        return rates(Label.UNDECIDED), rates(Label.UNDECIDED)
    at_most = ErrorRates(rates(Label.VOICEMAIL).humans_called_voicemail, rates(Label.HUMAN).voicemails_called_human)
    return rates(Label.UNDECIDED), at_most


def _regrouped(
    counts: _Counts, label_of: Callable[[Label, Label | None], Label | None]
) -> tuple[Counter[CallGroup], Counter[tuple[CallGroup, ReviewAnswer]]]:
    """Return the calls and the answers of each group with another label. Calls whose label is None are left out."""
    judged: Counter[CallGroup] = Counter()
    answers: Counter[tuple[CallGroup, ReviewAnswer]] = Counter()
    for (group, after), count in counts.groups.items():
        if label := label_of(group.label, after):
            judged[replace(group, label=label)] += count
    for (group, after, answer), count in counts.sampled.items():
        if label := label_of(group.label, after):
            answers[replace(group, label=label), answer] += count
    return judged, answers
