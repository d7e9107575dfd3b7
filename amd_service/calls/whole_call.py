"""Reads everything that is stored about one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import Annotation, Callback, CallLog, Delivery, Recording, Review, VerdictRow
from amd_service.domain import CallSid, Source

# Maximum number of rows of each kind. A usual call has ten callbacks and two recordings.
MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class WholeCall:
    """A call with its recordings by start, its model runs, callbacks, reviews and deliveries in the order of writing.

    `annotation`: its Call Annotation at Twilio, None without one. `shadow_runs`: runs of another model, which do not
    affect the call. `now`: time of the database. Of each kind, at most MAX_ROWS rows are read.
    """

    call: CallLog
    recordings: list[Recording]
    runs: list[VerdictRow]
    callbacks: list[Callback]
    reviews: list[Review]
    deliveries: list[Delivery]
    now: datetime
    annotation: Annotation | None = None
    shadow_runs: list[VerdictRow] = field(default_factory=list)

    @property
    def sent(self) -> Sequence[Delivery | Annotation]:
        """The deliveries and the annotation."""
        return [*self.deliveries, *([] if self.annotation is None else [self.annotation])]


async def read_whole_call(session: AsyncSession, call_sid: CallSid) -> WholeCall | None:
    """Return a call, or None if it is unknown."""
    found = (await session.execute(select(CallLog, func.now()).where(CallLog.call_sid == call_sid))).first()
    if found is None:
        return None
    call, now = found
    recordings = select(Recording).where(Recording.call_sid == call_sid)
    runs = select(VerdictRow).join(Recording).where(Recording.call_sid == call_sid).order_by(VerdictRow.id)
    is_shadow = VerdictRow.source == Source.SHADOW
    callbacks = select(Callback).where(Callback.call_sid == call_sid)
    reviews = select(Review).where(Review.call_sid == call_sid)
    deliveries = select(Delivery).where(Delivery.call_sid == call_sid)
    return WholeCall(
        call=call,
        recordings=list(
            await session.scalars(
                recordings.order_by(Recording.started_at.nulls_last(), Recording.recording_sid).limit(MAX_ROWS)
            )
        ),
        runs=list(await session.scalars(runs.where(~is_shadow).limit(MAX_ROWS))),
        callbacks=list(await session.scalars(callbacks.order_by(Callback.id).limit(MAX_ROWS))),
        reviews=list(await session.scalars(reviews.order_by(Review.id).limit(MAX_ROWS))),
        deliveries=list(await session.scalars(deliveries.order_by(Delivery.id).limit(MAX_ROWS))),
        now=now,
        annotation=await session.get(Annotation, call_sid),
        shadow_runs=list(await session.scalars(runs.where(is_shadow).limit(MAX_ROWS))),
    )
