"""The statements that the service sends by itself, whatever people do. `filling.fill` makes a database for them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import (
    actions,
    annotations,
    deliveries,
    erasure,
    expiry,
    inbox,
    intake,
    number_backfill,
    queue,
    queue_length,
    reconciliation,
    shadow_runs,
    streams,
)
from amd_service.calls.folding import Unfolded, fold
from amd_service.calls.intake import NewCallback
from amd_service.calls.number_backfill import Cursor
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.streams import Stream
from amd_service.database.condition import read_condition
from amd_service.database.revisions import read_revisions
from amd_service.domain import (
    AccountSid,
    Action,
    ActionKind,
    ActionState,
    CallSid,
    Label,
    ModelIdentity,
    ModelRun,
    Reason,
    RecordingSid,
    Scores,
    StreamSid,
    Verdict,
)
from benchmarks.filling import BACKEND, KEPT_DAYS, sid

ACCOUNT = AccountSid("AC1")

_CALL, _RECORDING = CallSid(f"CA{sid(2001)}"), RecordingSid(f"RE{sid(2001)}")
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_HASHED = NumberPolicy("hash", b"k" * 16)
_HANG_UP = {Label.HUMAN: Action(ActionKind.HANG_UP)}
_RUN = ModelRun(Scores(0.9, 0.1), 0, 2000, 100.0, ModelIdentity("models/demo", None, "2" * 64))
_VERDICT = Verdict(Label.HUMAN, 0.9, Reason.CONFIDENT, 100, (_RUN,), 1, channels_mixed=False, audio_sha256="")
_FACTS = {"account_sid": ACCOUNT, "call_sid": _CALL, "call_status": "completed", "sequence_number": 3}
_CALLBACK = NewCallback("new", "status", _CALL, None, ACCOUNT, [["CallStatus", "completed"]], _FACTS, None, None)
_STREAM = Stream(ACCOUNT, _CALL, StreamSid("MZ1"), 5.0, whole=True)


async def _nothing(_: AsyncSession) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows per statement. The default values are those of the service.

    `folded`: callbacks. `claimed`: jobs. `compared`: calls of a sweep. `expired`, `scanned`: rows of the retention.
    """

    folded: int = 40
    claimed: int = 10
    compared: int = 200
    expired: int = 500
    scanned: int = 100


@dataclass(frozen=True, slots=True)
class Own:
    """Statements of the service. `work` gets the result of `prepare`, whose statements do not count."""

    work: Callable[[AsyncSession, Any], Awaitable[object]]
    prepare: Callable[[AsyncSession], Awaitable[Any]] = _nothing


async def _claim_actions(session: AsyncSession) -> Any:
    return (await actions.claim_due(session, [ACCOUNT], _HANG_UP, 16)).due


async def _lease_sweep(session: AsyncSession) -> Any:
    return await reconciliation.acquire_lease(session, ACCOUNT, lease_s=300)


def _recorded(session: AsyncSession) -> Awaitable[object]:
    """Fold a callback about a recording."""
    return fold(session, [Unfolded(1, _CALL, ACCOUNT, _RECORDING, None, datetime.now(UTC))], skip_locked=True)


def own_statements(batches: Batches = Batches()) -> Mapping[str, Own]:
    """Return the statements by name."""
    sids = [CallSid(f"CA{sid(n)}") for n in range(2001, 2001 + batches.compared)]
    recordings = [RecordingSid(f"RE{sid(n)}") for n in range(2001, 2001 + batches.compared)]
    lease: Any = {"worker": "w", "limit": batches.claimed, "lease_s": 60}

    async def claim_callbacks(session: AsyncSession) -> Any:
        return await inbox.claim(session, batches.folded)

    async def claim_recordings(session: AsyncSession) -> Any:
        return await queue.claim(session, **lease, max_attempts=5)

    async def claim_deliveries(session: AsyncSession) -> Any:
        return await deliveries.claim(session, url=BACKEND, **lease)

    async def claim_annotations(session: AsyncSession) -> Any:
        return await annotations.claim(session, **lease)

    return {
        "callback: store": Own(lambda session, _: intake.put_into_inbox(session, [_CALLBACK])),
        "inbox: claim": Own(lambda session, _: claim_callbacks(session)),
        "inbox: fold": Own(lambda session, found: fold(session, found, skip_locked=True), claim_callbacks),
        "inbox: fold one of a recording": Own(lambda session, _: _recorded(session)),
        "inbox: depth": Own(lambda session, _: inbox.depth(session)),
        "inbox: calls that are due": Own(lambda session, _: inbox.due_calls(session, batches.folded)),
        "recordings: claim": Own(lambda session, _: claim_recordings(session)),
        "recordings: show as running": Own(queue.show_running, claim_recordings),
        "recordings: give up": Own(
            lambda session, _: queue.give_up_spent(session, limit=batches.claimed, max_attempts=5)
        ),
        "recordings: time of the next": Own(lambda session, _: queue_length.seconds_until_due(session)),
        "recordings: heartbeat": Own(
            lambda session, jobs: queue.heartbeat(session, jobs=jobs, lease_s=60), claim_recordings
        ),
        "recordings: store a verdict": Own(
            lambda session, jobs: queue.settle(session, jobs[0], _VERDICT, _HANG_UP), claim_recordings
        ),
        "recordings: retry later": Own(
            lambda session, jobs: queue.retry_later(session, jobs[0], delay_s=60, error="timeout"), claim_recordings
        ),
        "recordings: depth": Own(lambda session, _: queue_length.depth(session)),
        "stream: store a verdict": Own(lambda session, _: streams.settle_stream(session, _STREAM, _VERDICT, {})),
        "shadow model: store runs": Own(
            lambda session, _: shadow_runs.add_shadow_runs(session, _RECORDING, _VERDICT, attempt=1)
        ),
        "actions: claim": Own(lambda session, _: _claim_actions(session)),
        "actions: store an outcome": Own(
            lambda session, due: actions.record_outcome(session, due[0].call_sid, ActionState.DONE), _claim_actions
        ),
        "deliveries: claim": Own(lambda session, _: claim_deliveries(session)),
        "deliveries: time of the next": Own(lambda session, _: deliveries.seconds_until_due(session, BACKEND)),
        "deliveries: heartbeat": Own(
            lambda session, jobs: deliveries.heartbeat(session, jobs=jobs, lease_s=60), claim_deliveries
        ),
        "deliveries: settle": Own(lambda session, jobs: deliveries.settle(session, jobs[0], 204), claim_deliveries),
        "deliveries: give up those to removed URLs": Own(
            lambda session, _: deliveries.give_up_unclaimed(session, urls=[BACKEND], limit=batches.expired)
        ),
        "deliveries: depth": Own(lambda session, _: queue_length.delivery_depth(session)),
        "annotations: claim": Own(lambda session, _: claim_annotations(session)),
        "annotations: time of the next": Own(lambda session, _: annotations.seconds_until_due(session)),
        "annotations: settle": Own(lambda session, jobs: annotations.settle(session, jobs[0]), claim_annotations),
        "reconciliation: lease of an account": Own(lambda session, _: _lease_sweep(session)),
        "reconciliation: renew the lease": Own(
            lambda session, lease: reconciliation.renew_lease(session, lease, lease_s=300), _lease_sweep
        ),
        "reconciliation: compare calls": Own(lambda session, _: reconciliation.call_statuses(session, sids)),
        "reconciliation: compare recordings": Own(
            lambda session, _: reconciliation.finished_recordings(session, recordings)
        ),
        "reconciliation: ended calls": Own(
            lambda session, _: reconciliation.ended_calls(session, sids, since=_LONG_AGO, quiet_s=60)
        ),
        "reconciliation: calls that are not open": Own(
            lambda session, _: reconciliation.has_closed_call(session, sids, since=_LONG_AGO)
        ),
        "reconciliation: open calls": Own(
            lambda session, _: reconciliation.open_calls(
                session, ACCOUNT, since=datetime.now(UTC) - timedelta(days=2), quiet_s=60
            )
        ),
        "reconciliation: one known call": Own(lambda session, _: reconciliation.known_call(session, _CALL)),
        "reconciliation: store a result": Own(
            lambda session, _: reconciliation.record_reconciled(session, _CALL, [_RECORDING], quiet_s=60)
        ),
        "retention: recordings to erase": Own(
            lambda session, _: erasure.claim_erasable(session, [ACCOUNT], batches.claimed)
        ),
        "retention: mark as erased": Own(lambda session, _: erasure.mark_erased(session, _RECORDING)),
        "retention: strip callbacks": Own(
            lambda session, _: expiry.strip_callbacks(session, days=KEPT_DAYS, limit=batches.expired)
        ),
        "retention: delete requests": Own(lambda session, _: expiry.delete_old_requests(session, batches.expired)),
        "retention: delete deliveries": Own(
            lambda session, _: deliveries.delete_finished(session, days=KEPT_DAYS, limit=batches.expired)
        ),
        "retention: numbers of calls": Own(
            lambda session, _: number_backfill.apply_number_policy_to_calls(
                session, _HASHED, Cursor(_LONG_AGO, ""), batches.scanned
            )
        ),
        "retention: numbers of callbacks": Own(
            lambda session, _: number_backfill.apply_number_policy_to_callbacks(
                session, _HASHED, Cursor(_LONG_AGO, 0), batches.scanned
            )
        ),
        "health: condition of the database": Own(lambda session, _: read_condition(session, read_revisions())),
    }
