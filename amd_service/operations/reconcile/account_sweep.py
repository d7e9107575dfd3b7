"""One account, asked about once: what callbacks left out is asked of Twilio, and taken in as they would have been.

No transaction is held while Twilio is asked, and each answer is taken in by one of its own: the order in which rows are
locked is the intake's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from amd_service.calls import intake, reconciliation
from amd_service.calls.known_values import unknown_values
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.reconciliation import KnownCall, SweepLease
from amd_service.database.pool import Database
from amd_service.domain import TERMINAL_CALL_STATUSES, AccountSid, CallSid, RecordingCallback, StatusCallback
from amd_service.errors import (
    AmdError,
    CredentialsRefused,
    MalformedCallback,
    RequestRefused,
    TooManyRequests,
    TwilioUnavailable,
)
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import ApiEvent, RestClient

log = get_logger(__name__)

# A process that died gives an account back after this; one that lives renews it with every call it asks for.
LEASE_S = 300.0
BATCH = 200
# So many calls in a row that Twilio cannot answer for are an outage.
OUTAGE = 3
# So many calls that Twilio does not know, where it knows none of ours, are not gone: it is asked in the wrong place.
STRANGERS = 3

OUTBOUND = "outbound-api"

T = TypeVar("T")


@dataclass(slots=True)
class SweepReport:
    """What came of asking about one account. `error`: why it could not be asked to the end, None when it was.

    `calls_asked`: calls that Twilio told of; `calls_failed`: those it could not answer for, and which were passed over;
    `calls_unknown`: those of ours that it told nothing of; `calls_new`, `recordings_new`: those that no callback had
    told of; `calls_changed`: rows that say something else now, new ones among them.
    """

    account_sid: AccountSid
    calls_asked: int = 0
    calls_failed: int = 0
    calls_unknown: int = 0
    calls_new: int = 0
    recordings_new: int = 0
    calls_changed: int = 0
    error: str | None = None


class LeaseLost(AmdError):
    """Another process has taken the account over: this one was away for longer than its lease."""


class WrongAccount(AmdError):
    """Twilio knows none of our calls: it is another region's Twilio, or another account, that was asked."""


@dataclass(slots=True)
class AccountSweep:
    """One account, asked about once. `quiet_s`: for how long after its end a call is left to its callbacks.

    `known`: calls of ours that Twilio told of; `unknown`: those it told nothing of when it was asked for them.
    `wait_s`: for how long Twilio wants to be left alone.
    """

    database: Database
    rest: RestClient
    metrics: Metrics
    numbers: NumberPolicy
    account: Account
    since: datetime
    open_since: datetime
    quiet_s: float
    findings: SweepReport
    turn: SweepLease | None = None
    listed: set[CallSid] = field(default_factory=set)
    asked: set[CallSid] = field(default_factory=set)
    known: set[CallSid] = field(default_factory=set)
    unknown: set[CallSid] = field(default_factory=set)
    failed: set[CallSid] = field(default_factory=set)
    failed_in_a_row: int = 0
    changed: set[CallSid] = field(default_factory=set)
    wait_s: float = 0.0

    async def run(self) -> SweepReport:
        """Ask, and report. What is told on the way is taken in, also where a later request fails."""
        try:
            await self._calls_by_date()
            await self._open_calls()
            await self._recordings_by_date()
            await self._conclude_unknown()
        except (TwilioUnavailable, RequestRefused, WrongAccount, LeaseLost) as error:
            self.findings.error = str(error)
            self.wait_s = (error.retry_after_s or 0.0) if isinstance(error, TwilioUnavailable) else 0.0
            self.metrics.loop_errors.labels("reconciling").inc()
            log.warning("not asked to the end", account_sid=self.account.account_sid, error=str(error))
        self._report()
        return self.findings

    async def would_forget(self) -> bool:
        """Whether a call that was passed over is found again only by asking from the same moment on.

        Given up, like an open call, 48 hours after it was first seen.
        """
        if not self.failed:
            return False
        async with self.database.transaction() as session:
            return await reconciliation.has_closed_call(session, self.failed, since=self.open_since)

    async def _calls_by_date(self) -> None:
        """Calls that ended and of which we do not know that. Those still up are left to a later sweep."""
        quiet_since = datetime.now(UTC) - timedelta(seconds=self.quiet_s)
        async with aclosing(_batches(self.rest.list_calls(self.account, self.since))) as batches:
            async for batch in batches:
                await self._renew()
                self.listed.update(told.event.call_sid for told in batch)
                async with self.database.transaction() as session:
                    known = await reconciliation.call_statuses(session, [told.event.call_sid for told in batch])
                self.known.update(CallSid(sid) for sid in known)
                for told in batch:
                    if _is_missing(told.event, known, quiet_since):
                        await self._take_in(told.event.call_sid, told, asked_for_all=False)

    async def _recordings_by_date(self) -> None:
        """Calls of ours that ended, with a recording we do not know of or do not know the end of."""
        async with aclosing(_batches(self.rest.list_recorded_calls(self.account, self.since))) as batches:
            async for batch in batches:
                await self._renew()
                async with self.database.transaction() as session:
                    settled = await reconciliation.finished_recordings(session, [sid for sid, _ in batch])
                    lacking = {call_sid for sid, call_sid in batch if sid not in settled}
                    # What was first seen long ago is given up here too: what Twilio cannot answer for would end every
                    # sweep, and with it all that comes later.
                    ended = await reconciliation.ended_calls(
                        session, lacking, since=self.open_since, quiet_s=self.quiet_s
                    )
                for call_sid in ended:
                    await self._ask(call_sid)

    async def _open_calls(self) -> None:
        """Calls of which something is still to come, one by one."""
        account_sid = self.account.account_sid
        async with self.database.transaction() as session:
            found = await reconciliation.open_calls(session, account_sid, since=self.open_since, quiet_s=self.quiet_s)
        for call_sid in found:
            await self._ask(call_sid)

    async def _ask(self, call_sid: CallSid) -> None:
        if call_sid in self.asked:
            return
        self.asked.add(call_sid)
        await self._renew()
        told, unreadable = None, None
        try:
            try:
                told = await self.rest.get_call(self.account, call_sid)
            except MalformedCallback as error:
                unreadable = error  # but its recordings, if it has any, are as good as others
            # The account's own list of recordings does not tell the track, and without it a recording of the called
            # party alone would pass for one of both.
            listed = await self.rest.list_call_recordings(self.account, call_sid)
        except (TooManyRequests, CredentialsRefused):
            raise
        except (TwilioUnavailable, RequestRefused) as error:
            self._pass_over(call_sid, error)
            return
        self.failed_in_a_row = 0
        if unreadable is not None and not listed:
            self._pass_over(call_sid, unreadable)
            return
        if told is None and not listed:
            self.unknown.add(call_sid)
            return
        self.known.add(call_sid)
        recordings = [recording for recording in listed if recording is not None]
        await self._take_in(call_sid, told, recordings, asked_for_all=len(recordings) == len(listed))

    async def _conclude_unknown(self) -> None:
        """What Twilio does not know has no recording either, unless it knows nothing of ours at all."""
        if len(self.unknown) >= STRANGERS and not self.known:
            raise WrongAccount(
                f"Twilio knows none of the {len(self.unknown)} calls it was asked for, so nothing is concluded; check "
                "that TWILIO_REGION, TWILIO_EDGE and the credentials are those of the account that placed them"
            )
        for call_sid in self.unknown:
            await self._take_in(call_sid, None, asked_for_all=True)

    def _pass_over(self, call_sid: CallSid, error: AmdError) -> None:
        """A call that Twilio cannot answer for must not keep it from all others. Raises the error in an outage."""
        self.failed.add(call_sid)
        self.failed_in_a_row += isinstance(error, TwilioUnavailable)
        if self.failed_in_a_row == OUTAGE:
            raise error
        self.metrics.loop_errors.labels("reconciling").inc()
        log.warning("passed over", call_sid=call_sid, error=str(error))

    async def _take_in(
        self,
        call_sid: CallSid,
        told: ApiEvent[StatusCallback] | None,
        recordings: Sequence[ApiEvent[RecordingCallback]] = (),
        *,
        asked_for_all: bool,
    ) -> None:
        try:
            async with self.database.transaction() as session:
                before = await reconciliation.known_call(session, call_sid)
            for recording in recordings:
                await self._keep(intake.store_recording, recording)
            if told is not None:
                await self._keep(intake.store_status, told)
            listed = [recording.event.recording_sid for recording in recordings]
            async with self.database.transaction() as session:
                concluded = asked_for_all and await reconciliation.record_reconciled(
                    session, call_sid, listed, quiet_s=self.quiet_s
                )
                self._compare(call_sid, before, await reconciliation.known_call(session, call_sid))
        except AmdError:
            raise
        except Exception:
            # A call that cannot be taken in must not keep all others from it, now and at every later sweep.
            self.metrics.loop_errors.labels("reconciling").inc()
            log.exception("not taken in", call_sid=call_sid)
            return
        if concluded:
            self.changed.add(call_sid)

    async def _keep(self, take: Callable[..., Awaitable[bool]], told: ApiEvent[Any]) -> None:
        async with self.database.transaction() as session:
            new = await take(session, told.raw, told.event, self.numbers)
        for parameter in unknown_values(told.event) if new else ():
            self.metrics.unknown_values.labels(parameter).inc()

    def _compare(self, call_sid: CallSid, before: KnownCall | None, after: KnownCall | None) -> None:
        if after is None or after == before:
            return
        self.changed.add(call_sid)
        known = set() if before is None else {sid for sid, _ in before.recordings}
        self.findings.calls_new += before is None
        self.findings.recordings_new += len({sid for sid, _ in after.recordings} - known)

    async def _renew(self) -> None:
        if self.turn is None:
            return
        async with self.database.transaction() as session:
            renewed = await reconciliation.renew_lease(session, self.turn, lease_s=LEASE_S)
        if renewed is None:
            raise LeaseLost("another process asks about this account by now")
        self.turn = renewed

    def _report(self) -> None:
        findings = self.findings
        findings.calls_asked = len(self.listed | self.known)
        findings.calls_failed = len(self.failed)
        findings.calls_unknown = len(self.unknown)
        findings.calls_changed = len(self.changed)
        found = {"call": findings.calls_new, "recording": findings.recordings_new, "change": findings.calls_changed}
        for what, count in found.items():
            self.metrics.reconciled.labels(what).inc(count)
        if self.unknown:
            log.warning("calls unknown to Twilio", account_sid=findings.account_sid, calls=len(self.unknown))
        if any(found.values()):
            log.warning("callbacks had left something out", account_sid=findings.account_sid, **found)


def _is_missing(call: StatusCallback, known: Mapping[str, str | None], quiet_since: datetime) -> bool:
    """Whether a call that Twilio lists should be taken in: it ended a while ago, and is ours.

    What nobody told us of and we did not dial (inbound calls, legs of a `<Dial>`) is not.
    """
    if call.call_status not in TERMINAL_CALL_STATUSES or (call.timestamp is not None and call.timestamp > quiet_since):
        return False
    return known[call.call_sid] not in TERMINAL_CALL_STATUSES if call.call_sid in known else call.direction == OUTBOUND


async def _batches(items: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
