"""Counts calls and answers for error rates, and pairs of answers for the agreement of reviewers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Date, Float, Text, and_, cast, column, func, or_, select, table, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.call_filter import CallFilter, FilterRules, conditions
from amd_service.calls.review_sample import SamplingPlan, is_drawn
from amd_service.calls.strata import LowConfidence, stratum_of
from amd_service.calls.tables import CallLog, Review
from amd_service.domain import Label, ReviewAnswer, Stratum

REVIEWED = table(
    "call_log_reviewed",
    column("call_sid", Text),
    column("answer", Text),
    column("stratum", Text),
    column("probability", Float),
)


# Monday of the week in which a call began, in UTC.
WEEK: ColumnElement[date] = cast(
    func.date_trunc(text("'week'"), func.timezone(text("'UTC'"), CallLog.created_at)), Date
)


@dataclass(frozen=True, slots=True)
class CallGroup:
    """Judged calls that have these values in common. `week`: Monday of the week of created_at, in UTC."""

    stratum: Stratum
    label: Label
    week: date
    campaign: str | None
    model_id: str | None


async def count_judged(session: AsyncSession, call_filter: CallFilter, rules: FilterRules) -> Counter[CallGroup]:
    """Count the judged calls that the filter selects."""
    keys = _keys(rules.low_confidence)
    statement = (
        select(*keys, func.count()).where(CallLog.label.is_not(None), *conditions(call_filter, rules)).group_by(*keys)
    )
    rows = await session.execute(statement)
    return Counter({_group(row): row[-1] for row in rows})


async def count_answers(
    session: AsyncSession, call_filter: CallFilter, rules: FilterRules, plan: SamplingPlan
) -> Counter[tuple[CallGroup, ReviewAnswer]]:
    """Count the answers about drawn calls that the filter selects: one answer for each call."""
    keys = (*_keys(rules.low_confidence), REVIEWED.c.answer)
    statement = (
        select(*keys, func.count())
        .join(REVIEWED, REVIEWED.c.call_sid == CallLog.call_sid)
        .where(
            CallLog.label.is_not(None),
            stands_for_its_group(plan),
            *conditions(call_filter, rules),
        )
        .group_by(*keys)
    )
    rows = await session.execute(statement)
    return Counter({(_group(row), ReviewAnswer(row[-2])): row[-1] for row in rows})


def stands_for_its_group(plan: SamplingPlan) -> ColumnElement[bool]:
    """Return the condition of an answer in REVIEWED that counts for error rates: the call was drawn.

    A call can move from a group that is reviewed often to the group `rest`, for example if it is analysed again with a
    better model. There it counts only if the random sample contains it. Otherwise the reviewed calls of `rest` would
    mostly be such calls.
    """
    stratum = stratum_of(plan.low)
    in_sample = or_(REVIEWED.c.stratum == stratum, stratum != Stratum.REST, is_drawn(plan.probability(Stratum.REST)))
    return and_(REVIEWED.c.probability.is_not(None), in_sample)


async def count_pairs(
    session: AsyncSession, call_filter: CallFilter, rules: FilterRules
) -> Counter[tuple[ReviewAnswer, ReviewAnswer]]:
    """Count the answers of the first and the second reviewer of each call that two people answered blindly."""
    latest = (
        select(
            Review.call_sid,
            Review.answer,
            func.min(Review.id).over(partition_by=(Review.call_sid, Review.reviewer)).label("first_id"),
        )
        .where(Review.probability.is_not(None))
        .ext(distinct_on(Review.call_sid, Review.reviewer))
        .order_by(Review.call_sid, Review.reviewer, Review.id.desc())
        .subquery()
    )
    place = func.row_number().over(partition_by=latest.c.call_sid, order_by=latest.c.first_id).label("place")
    ranked = select(latest.c.call_sid, latest.c.answer, place).cte("ranked")
    first, second = ranked.alias("first"), ranked.alias("second")
    statement = (
        select(first.c.answer, second.c.answer, func.count())
        .select_from(first)
        .join(second, (second.c.call_sid == first.c.call_sid) & (second.c.place == 2))
        .join(CallLog, CallLog.call_sid == first.c.call_sid)
        .where(first.c.place == 1, *conditions(call_filter, rules))
        .group_by(first.c.answer, second.c.answer)
    )
    rows = await session.execute(statement)
    return Counter({(ReviewAnswer(row[0]), ReviewAnswer(row[1])): row[2] for row in rows})


def _keys(low: LowConfidence) -> tuple[ColumnElement[Any], ...]:
    keys: tuple[ColumnElement[Any], ...] = (
        stratum_of(low),
        CallLog.label.expression,
        WEEK,
        CallLog.campaign.expression,
        CallLog.model_id.expression,
    )
    return keys


def _group(row: Sequence[Any]) -> CallGroup:
    return CallGroup(Stratum(row[0]), Label(row[1]), row[2], row[3], row[4])
