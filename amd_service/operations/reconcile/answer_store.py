"""Stores calls and recordings from Twilio's API with the same functions as callbacks."""

from collections.abc import Sequence

from amd_service.calls import intake, reconciliation
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.reconciliation import KnownCall
from amd_service.database.pool import Database
from amd_service.domain import CallSid, RecordingCallback, StatusCallback
from amd_service.errors import AmdError
from amd_service.operations.reconcile.report import SweepReport
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import ApiEvent

log = get_logger(__name__)


class AnswerStore:
    """Stores the responses of one sweep, and counts new calls and recordings in `report`.

    Every call and every recording is stored in a separate transaction. So rows are locked in the same order as for a
    callback, and no deadlock is possible. `changed`: calls whose stored data changed.
    """

    def __init__(
        self, database: Database, numbers: NumberPolicy, metrics: Metrics, *, quiet_s: float, report: SweepReport
    ) -> None:
        self._database = database
        self._numbers = numbers
        self._metrics = metrics
        self._quiet_s = quiet_s
        self._report = report
        self.changed: set[CallSid] = set()

    async def store(
        self,
        call_sid: CallSid,
        call: ApiEvent[StatusCallback] | None,
        recordings: Sequence[ApiEvent[RecordingCallback]] = (),
        *,
        is_complete: bool,
    ) -> None:
        """Store a call and its recordings. `is_complete`: Twilio listed no other recordings of this call."""
        try:
            await self._store(call_sid, call, recordings, is_complete=is_complete)
        except AmdError:
            raise
        except Exception:
            # Continue with the other calls. Otherwise this call would block them in this sweep and all later sweeps.
            self._metrics.loop_errors.labels("reconciling").inc()
            log.exception("call not stored", call_sid=call_sid)

    async def _store(
        self,
        call_sid: CallSid,
        call: ApiEvent[StatusCallback] | None,
        recordings: Sequence[ApiEvent[RecordingCallback]],
        *,
        is_complete: bool,
    ) -> None:
        async with self._database.transaction() as session:
            before = await reconciliation.known_call(session, call_sid)
        for recording in recordings:
            await self._store_event(recording)
        if call is not None:
            await self._store_event(call)
        listed = [recording.event.recording_sid for recording in recordings]
        async with self._database.transaction() as session:
            is_concluded = is_complete and await reconciliation.record_reconciled(
                session, call_sid, listed, quiet_s=self._quiet_s
            )
            after = await reconciliation.known_call(session, call_sid)
        self._count_difference(before, after)
        if is_concluded or (after is not None and after != before):
            self.changed.add(call_sid)

    async def _store_event(self, answer: ApiEvent[StatusCallback] | ApiEvent[RecordingCallback]) -> None:
        async with self._database.transaction() as session:
            is_new = await intake.store(session, answer.raw, answer.event, self._numbers)
        for parameter in unknown_values(answer.event) if is_new else ():
            self._metrics.unknown_values.labels(parameter).inc()

    def _count_difference(self, before: KnownCall | None, after: KnownCall | None) -> None:
        if after is None:
            return
        known = set() if before is None else {sid for sid, _ in before.recordings}
        self._report.calls_new += before is None
        self._report.recordings_new += len({sid for sid, _ in after.recordings} - known)
