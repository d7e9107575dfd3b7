"""Pairs of verdicts on the same recordings: the verdict of the call's model, and the label of a shadow model."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CTE, Boolean, ColumnElement, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from amd_service.calls.review_results import REVIEWED, stands_for_its_group
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.strata import stratum_of
from amd_service.calls.tables import CallLog, Recording, VerdictRow
from amd_service.domain import Label, ReviewAnswer, Source, Stratum

# A constant instead of a parameter, so that Postgres can use the index of the shadow runs.
_IS_SHADOW: ColumnElement[bool] = literal_column("verdict.source = 'shadow'", Boolean)


@dataclass(frozen=True, slots=True)
class CallPeriod:
    """Calls that began at or after `since` and before `until`, by `created_at`, like those of `CallFilter`.

    `until`: None for no end.
    """

    since: datetime
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of these calls."""
        since = [CallLog.created_at >= self.since]
        return since if self.until is None else [*since, CallLog.created_at < self.until]

    def __str__(self) -> str:
        until = "" if self.until is None else f" and before {self.until:%Y-%m-%d %H:%M}"
        return f"since {self.since:%Y-%m-%d %H:%M}{until} UTC"


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """A model with shadow runs. `weights_sha256` tells apart two models that were in the same folder."""

    id: str
    weights_sha256: str
    runs: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Calls that have these values in common.

    `answer`: what the first reviewer heard, None without a review. `is_sampled`: the answer counts for error rates.
    """

    stratum: Stratum
    present: Label
    shadow: Label
    answer: ReviewAnswer | None
    is_sampled: bool
    calls: int


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call whose label would change. `confidence`: of the shadow model."""

    call_sid: str
    present: Label
    shadow: Label
    confidence: float
    answer: ReviewAnswer | None


async def list_shadow_models(session: AsyncSession, period: CallPeriod) -> list[ShadowModel]:
    """Return the models that have shadow runs on calls of the period, the newest first."""
    keys = (VerdictRow.model_id, VerdictRow.weights_sha256)
    newest = func.max(VerdictRow.created_at)
    statement = (
        select(*keys, func.count(VerdictRow.recording_sid.distinct()), newest)
        .join(Recording, Recording.recording_sid == VerdictRow.recording_sid)
        .join(CallLog, CallLog.call_sid == Recording.call_sid)
        # A run is newer than its call. The index of the shadow runs needs this condition.
        .where(_IS_SHADOW, VerdictRow.created_at >= period.since, *period.conditions())
        .group_by(*keys)
        .order_by(newest.desc())
    )
    return [ShadowModel(str(row[0]), str(row[1]), row[2], row[3]) for row in await session.execute(statement)]


async def count_pairs(
    session: AsyncSession, model: ShadowModel, period: CallPeriod, plan: SamplingPlan
) -> list[PairGroup]:
    """Count the calls by the labels of both models and by the answer of a reviewer."""
    pairs = _pairs(model, period.since)
    keys = (stratum_of(plan.low), pairs.c.present, pairs.c.shadow, REVIEWED.c.answer, stands_for_its_group(plan))
    statement = (
        select(*keys, func.count())
        .join(CallLog, CallLog.call_sid == pairs.c.call_sid)
        .where(*period.conditions())
        .outerjoin(REVIEWED, REVIEWED.c.call_sid == pairs.c.call_sid)
        .group_by(*keys)
        .order_by(*keys)
    )
    return [
        PairGroup(Stratum(row[0]), Label(row[1]), Label(row[2]), row[3] and ReviewAnswer(row[3]), bool(row[4]), row[5])
        for row in await session.execute(statement)
    ]


async def list_changed(session: AsyncSession, model: ShadowModel, period: CallPeriod, limit: int) -> list[ChangedCall]:
    """Return calls whose label would change: opposite labels first, and then the highest confidence."""
    pairs = _pairs(model, period.since)
    is_undecided = or_(pairs.c.present == Label.UNDECIDED.value, pairs.c.shadow == Label.UNDECIDED.value)
    statement = (
        select(pairs.c.call_sid, pairs.c.present, pairs.c.shadow, pairs.c.confidence, REVIEWED.c.answer)
        .outerjoin(REVIEWED, REVIEWED.c.call_sid == pairs.c.call_sid)
        .join(CallLog, CallLog.call_sid == pairs.c.call_sid)
        .where(pairs.c.present != pairs.c.shadow, *period.conditions())
        .order_by(is_undecided, pairs.c.confidence.desc(), pairs.c.call_sid)
        .limit(limit)
    )
    rows = await session.execute(statement)
    return [ChangedCall(row[0], Label(row[1]), Label(row[2]), row[3], row[4] and ReviewAnswer(row[4])) for row in rows]


def _pairs(model: ShadowModel, since: datetime) -> CTE:
    """One row per call: the latest label of the shadow model since a time, and the verdict that it followed.

    A run is newer than its call. So the condition on the run, which has an index, excludes no call of the period.
    """
    shadow = (
        select(
            Recording.call_sid,
            VerdictRow.id,
            VerdictRow.recording_sid,
            VerdictRow.label.label("shadow"),
            VerdictRow.confidence,
        )
        .ext(distinct_on(Recording.call_sid))
        .join(Recording, Recording.recording_sid == VerdictRow.recording_sid)
        .where(
            _IS_SHADOW,
            VerdictRow.label.is_not(None),
            VerdictRow.model_id == model.id,
            VerdictRow.weights_sha256 == model.weights_sha256,
            VerdictRow.created_at >= since,
        )
        .order_by(Recording.call_sid, VerdictRow.id.desc())
        .cte("shadow")
    )
    own = aliased(VerdictRow)
    present = (
        select(own.label.label("present"))
        .where(own.recording_sid == shadow.c.recording_sid, own.decided, own.source == Source.RECORDING)
        .where(own.id < shadow.c.id)
        .order_by(own.id.desc())
        .limit(1)
        .lateral("present")
    )
    columns = (shadow.c.call_sid, present.c.present, shadow.c.shadow, shadow.c.confidence)
    return select(*columns).join(present, literal_column("true")).cte("pairs")
