"""One sweep of one account: finds calls with lost callbacks and requests these calls from Twilio's API.

No transaction is open during a request to Twilio.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from amd_service.calls import reconciliation
from amd_service.calls.reconciliation import SweepLease
from amd_service.database.pool import Database
from amd_service.domain import TERMINAL_CALL_STATUSES, CallSid, RecordingCallback, StatusCallback
from amd_service.errors import (
    AmdError,
    CredentialsRefused,
    MalformedCallback,
    RequestRefused,
    TooManyRequests,
    TwilioUnavailable,
)
from amd_service.operations.reconcile.answer_store import AnswerStore
from amd_service.operations.reconcile.report import SweepReport
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import ApiEvent, RestClient

log = get_logger(__name__)

# Length of a sweep's lease in seconds. If a process dies, another process sweeps its account after this time. A running
# process renews its lease before every call that it requests.
LEASE_S = 300.0
# Maximum number of listed calls that one query compares with the database.
BATCH = 200
# This number of failed calls in a row counts as an outage.
OUTAGE = 3
# Minimum number of calls for WrongAccount. If Twilio knows none of so many calls, Twilio has not deleted them: our
# requests go to the wrong account or region.
MOST_UNKNOWN = 3

OUTBOUND = "outbound-api"

T = TypeVar("T")


class LeaseLost(AmdError):
    """Another process sweeps the account now, because this process did not renew its lease in time."""


class WrongAccount(AmdError):
    """Twilio knows none of our calls, so our requests go to another account or to another region of Twilio."""


@dataclass(frozen=True, slots=True)
class SweepRange:
    """Defines which calls a sweep covers.

    `since`: start of the lists by date. `open_since`: calls whose row is older than this time are no longer requested
    one by one. `quiet_s`: a call is skipped until this many seconds after its end, because its callbacks may still
    arrive.
    """

    since: datetime
    open_since: datetime
    quiet_s: float


@dataclass(slots=True)
class AccountSweep:
    """One sweep of one account.

    - `listed`: calls in Twilio's list by date.
    - `requested`: calls that were requested one by one.
    - `known`: our calls whose data Twilio returned.
    - `unknown`: our calls that Twilio does not know.
    - `failed`: calls that were skipped after a failed request.
    - `wait_s`: the Retry-After of Twilio's last error, in seconds.
    """

    database: Database
    rest: RestClient
    metrics: Metrics
    account: Account
    span: SweepRange
    store: AnswerStore
    report: SweepReport
    lease: SweepLease | None = None
    listed: set[CallSid] = field(default_factory=set)
    requested: set[CallSid] = field(default_factory=set)
    known: set[CallSid] = field(default_factory=set)
    unknown: set[CallSid] = field(default_factory=set)
    failed: set[CallSid] = field(default_factory=set)
    failed_in_a_row: int = 0
    wait_s: float = 0.0

    async def run(self) -> SweepReport:
        """Sweep the account. Every response is stored immediately, so it stays stored if a later request fails."""
        try:
            await self._sweep_listed_calls()
            await self._sweep_open_calls()
            await self._sweep_listed_recordings()
            await self._conclude_unknown()
        except (TwilioUnavailable, RequestRefused, WrongAccount, LeaseLost) as error:
            self.report.error = str(error)
            self.wait_s = (error.retry_after_s or 0.0) if isinstance(error, TwilioUnavailable) else 0.0
            self.metrics.loop_errors.labels("reconciling").inc()
            log.warning("reconciliation aborted", account_sid=self.account.account_sid, error=str(error))
        self._finish_report()
        return self.report

    async def must_repeat_lists(self) -> bool:
        """Return whether the next sweep must request the same lists again.

        This is necessary if a skipped call is not open, because only the lists contain such a call.

        After 48 hours such a call is no longer requested, like an open call.
        """
        if not self.failed:
            return False
        async with self.database.transaction() as session:
            return await reconciliation.has_closed_call(session, self.failed, since=self.span.open_since)

    async def _sweep_listed_calls(self) -> None:
        """Store calls whose end no callback has reported. A later sweep stores the calls that are still in progress."""
        quiet_since = datetime.now(UTC) - timedelta(seconds=self.span.quiet_s)
        async with aclosing(_batches(self.rest.list_calls(self.account, self.span.since))) as batches:
            async for batch in batches:
                await self._renew_lease()
                sids = [call.event.call_sid for call in batch]
                self.listed.update(sids)
                async with self.database.transaction() as session:
                    known = await reconciliation.call_statuses(session, sids)
                self.known.update(CallSid(sid) for sid in known)
                for call in batch:
                    if _is_missing(call.event, known, quiet_since):
                        await self.store.store(call.event.call_sid, call, is_complete=False)

    async def _sweep_listed_recordings(self) -> None:
        """Request our ended calls with a recording that is missing in our database, or not finished there."""
        async with aclosing(_batches(self.rest.list_recorded_calls(self.account, self.span.since))) as batches:
            async for batch in batches:
                await self._renew_lease()
                async with self.database.transaction() as session:
                    finished = await reconciliation.finished_recordings(session, [sid for sid, _ in batch])
                    unfinished = {call_sid for sid, call_sid in batch if sid not in finished}
                    # Old calls are skipped, because calls for which Twilio always returns an error would abort every
                    # sweep.
                    ended = await reconciliation.ended_calls(
                        session, unfinished, since=self.span.open_since, quiet_s=self.span.quiet_s
                    )
                for call_sid in ended:
                    await self._request_call(call_sid)

    async def _sweep_open_calls(self) -> None:
        """Request the open calls one by one. A call is open if no callback has reported its end or its recording."""
        async with self.database.transaction() as session:
            open_calls = await reconciliation.open_calls(
                session, self.account.account_sid, since=self.span.open_since, quiet_s=self.span.quiet_s
            )
        for call_sid in open_calls:
            await self._request_call(call_sid)

    async def _request_call(self, call_sid: CallSid) -> None:
        """Fetch a call and its recordings from Twilio and store them, at most once per sweep."""
        if call_sid in self.requested:
            return
        self.requested.add(call_sid)
        await self._renew_lease()
        try:
            call, recordings = await self._fetch(call_sid)
        except (TooManyRequests, CredentialsRefused):
            raise
        except (TwilioUnavailable, RequestRefused) as error:
            self._skip(call_sid, error)
            return
        self.failed_in_a_row = 0
        if isinstance(call, MalformedCallback) and not recordings:
            self._skip(call_sid, call)
        elif call is None and not recordings:
            self.unknown.add(call_sid)
        else:
            self.known.add(call_sid)
            readable = [recording for recording in recordings if recording is not None]
            is_complete = len(readable) == len(recordings)
            status = None if isinstance(call, MalformedCallback) else call
            await self.store.store(call_sid, status, readable, is_complete=is_complete)

    async def _fetch(
        self, call_sid: CallSid
    ) -> tuple[ApiEvent[StatusCallback] | MalformedCallback | None, list[ApiEvent[RecordingCallback] | None]]:
        """Return the call and its recordings. If the call is unreadable, its recordings are still used.

        Recordings are listed per call because the account's list does not contain the track. Without the track, a
        recording of the called party alone would be treated as a recording of both parties.
        """
        call: ApiEvent[StatusCallback] | MalformedCallback | None
        try:
            call = await self.rest.get_call(self.account, call_sid)
        except MalformedCallback as error:
            call = error
        return call, await self.rest.list_call_recordings(self.account, call_sid)

    async def _conclude_unknown(self) -> None:
        """Record that the calls unknown to Twilio have no recording.

        Raises WrongAccount if Twilio knows none of our calls.
        """
        if len(self.unknown) >= MOST_UNKNOWN and not self.known:
            raise WrongAccount(
                f"Twilio knows none of the {len(self.unknown)} calls of this sweep, so no row is changed; check "
                "that TWILIO_REGION, TWILIO_EDGE and the credentials belong to the account that placed these calls"
            )
        for call_sid in self.unknown:
            await self.store.store(call_sid, None, is_complete=True)

    def _skip(self, call_sid: CallSid, error: AmdError) -> None:
        """Skip a call whose request failed, so that it does not block other calls. In an outage, raises `error`."""
        self.failed.add(call_sid)
        self.failed_in_a_row += isinstance(error, TwilioUnavailable)
        if self.failed_in_a_row == OUTAGE:
            raise error
        self.metrics.loop_errors.labels("reconciling").inc()
        log.warning("call skipped", call_sid=call_sid, error=str(error))

    async def _renew_lease(self) -> None:
        if self.lease is None:
            return
        async with self.database.transaction() as session:
            renewed = await reconciliation.renew_lease(session, self.lease, lease_s=LEASE_S)
        if renewed is None:
            raise LeaseLost("another process sweeps the account now, because the lease of this process expired")
        self.lease = renewed

    def _finish_report(self) -> None:
        report = self.report
        report.calls_asked = len(self.listed | self.known)
        report.calls_failed = len(self.failed)
        report.calls_unknown = len(self.unknown)
        report.calls_changed = len(self.store.changed)
        found = {"call": report.calls_new, "recording": report.recordings_new, "change": report.calls_changed}
        for what, count in found.items():
            self.metrics.reconciled.labels(what).inc(count)
        if self.unknown:
            log.warning("calls unknown to Twilio", account_sid=report.account_sid, calls=len(self.unknown))
        if any(found.values()):
            log.warning("lost callbacks recovered", account_sid=report.account_sid, **found)


def _is_missing(call: StatusCallback, known: Mapping[str, str | None], quiet_since: datetime) -> bool:
    """Return whether a listed call must be stored.

    Such a call is ours and ended before `quiet_since`, and our database does not contain its end.

    A call without a row is ours only if Twilio's API placed it. Inbound calls and legs of a `<Dial>` are not ours.
    """
    if call.call_status not in TERMINAL_CALL_STATUSES or (call.timestamp is not None and call.timestamp > quiet_since):
        return False
    if call.call_sid in known:
        return known[call.call_sid] not in TERMINAL_CALL_STATUSES
    return call.direction == OUTBOUND


async def _batches(items: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
