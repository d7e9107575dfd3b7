"""Asks Twilio for what its callbacks left out. Whatever it tells goes through the same intake as callbacks do.

No transaction is held while Twilio is asked, and each answer is taken in by one of its own: the order in which rows are
locked is the intake's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from amd_service.calls import intake, reconciling
from amd_service.calls.database import Database
from amd_service.calls.history import ENDED
from amd_service.calls.privacy import NumberPolicy
from amd_service.calls.reconciling import Standing, Turn
from amd_service.domain import AccountSid, CallSid, RecordingCallback, StatusCallback
from amd_service.errors import AmdError, RequestRefused, TwilioUnavailable
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import Rest, Told

log = get_logger(__name__)

# A list names calls by when they began. Twilio ends a call after four hours unless it was told otherwise, so what
# began before that has ended, and was seen ended, by the sweep before.
OVERLAP = timedelta(hours=4)
# Of a call that is open after so long, Twilio has no more to tell.
OPEN_FOR = timedelta(hours=48)

# A process that died gives an account back after this; one that lives renews it with every call it asks for.
LEASE_S = 300.0
BATCH = 200

OUTBOUND = "outbound-api"

T = TypeVar("T")


@dataclass(slots=True)
class Findings:
    """What came of asking about one account. `error`: why it could not be asked to the end; None when all went well.

    `calls_asked`: calls that Twilio told of; `calls_new`, `recordings_new`: those that no callback had told of;
    `calls_changed`: rows that say something else now, new ones among them.
    """

    account_sid: AccountSid
    calls_asked: int = 0
    calls_new: int = 0
    recordings_new: int = 0
    calls_changed: int = 0
    error: str | None = None


class TurnLost(AmdError):
    """Another process has taken the account over: this one was away for longer than its lease."""


class Reconciliation:
    """Finds what callbacks left out. `rest`: one that takes its time, see AMD_RECONCILE_PER_S."""

    def __init__(self, *, database: Database, rest: Rest, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._rest = rest
        self._settings = settings
        self._metrics = metrics

    async def sweep(self) -> list[Findings]:
        """Ask about every account whose turn it is and that no other process asks about.

        One that could not be asked to the end is asked again, from the same moment on, at its next turn.
        """
        done = []
        for account in self._settings.accounts.values():
            async with self._database.transaction() as session:
                turn = await reconciling.take_turn(session, account.account_sid, lease_s=LEASE_S)
            if turn is not None:
                done.append(await self._take_turn(account, turn))
        return done

    async def by_hand(self, since: datetime) -> list[Findings]:
        """Ask about everything since then, also where a callback may still be on its way."""
        accounts = self._settings.accounts.values()
        return [await self._pass(account, since=since, open_since=since, quiet_s=0.0).run() for account in accounts]

    async def _take_turn(self, account: Account, turn: Turn) -> Findings:
        sweep = self._pass(
            account,
            # An account has calls of other applications too: what began before we first ran is nobody's loss of ours.
            since=max(turn.first_at, (turn.swept_until or turn.began_at) - OVERLAP),
            open_since=turn.began_at - OPEN_FOR,
            quiet_s=self._settings.reconcile_after_s,
        )
        sweep.turn = turn
        findings = await sweep.run()
        async with self._database.transaction() as session:
            await reconciling.end_turn(
                session, sweep.turn, complete=findings.error is None, next_in_s=self._settings.reconcile_every_s
            )
        return findings

    def _pass(self, account: Account, *, since: datetime, open_since: datetime, quiet_s: float) -> "_Pass":
        findings = Findings(account.account_sid)
        numbers = NumberPolicy.from_settings(self._settings)
        return _Pass(self._database, self._rest, self._metrics, numbers, account, since, open_since, quiet_s, findings)


@dataclass(slots=True)
class _Pass:
    """One account, asked about once. `quiet_s`: for how long after its end a call is left to its callbacks."""

    database: Database
    rest: Rest
    metrics: Metrics
    numbers: NumberPolicy
    account: Account
    since: datetime
    open_since: datetime
    quiet_s: float
    findings: Findings
    turn: Turn | None = None
    listed: set[CallSid] = field(default_factory=set)
    asked: set[CallSid] = field(default_factory=set)
    changed: set[CallSid] = field(default_factory=set)

    async def run(self) -> Findings:
        """Ask, and report. What is told on the way is taken in, also where a later request fails."""
        try:
            await self._calls_by_date()
            await self._recordings_by_date()
            await self._open_calls()
        except (TwilioUnavailable, RequestRefused, TurnLost) as error:
            self.findings.error = str(error)
            self.metrics.loop_errors.labels("reconciling").inc()
            log.warning("not asked to the end", account_sid=self.account.account_sid, error=str(error))
        self._report()
        return self.findings

    async def _calls_by_date(self) -> None:
        """Calls that ended and of which we do not know that. Those still up are left to a later sweep."""
        quiet_since = datetime.now(UTC) - timedelta(seconds=self.quiet_s)
        async with aclosing(_batches(self.rest.calls(self.account, self.since))) as batches:
            async for batch in batches:
                await self._renew()
                self.listed.update(told.event.call_sid for told in batch)
                async with self.database.transaction() as session:
                    known = await reconciling.statuses(session, [told.event.call_sid for told in batch])
                for told in batch:
                    if _is_missing(told.event, known, quiet_since):
                        await self._take_in(told.event.call_sid, told, asked_for_all=False)

    async def _recordings_by_date(self) -> None:
        """Calls of ours that ended, with a recording we do not know of or do not know the end of."""
        async with aclosing(_batches(self.rest.recorded_calls(self.account, self.since))) as batches:
            async for batch in batches:
                await self._renew()
                async with self.database.transaction() as session:
                    settled = await reconciling.settled_recordings(session, [sid for sid, _ in batch])
                    lacking = {call_sid for sid, call_sid in batch if sid not in settled}
                    ended = await reconciling.ended_calls(session, lacking, quiet_s=self.quiet_s)
                for call_sid in ended:
                    await self._ask(call_sid)

    async def _open_calls(self) -> None:
        """Calls of which something is still to come, one by one."""
        account_sid = self.account.account_sid
        async with self.database.transaction() as session:
            found = await reconciling.open_calls(session, account_sid, since=self.open_since, quiet_s=self.quiet_s)
        for call_sid in found:
            await self._ask(call_sid)

    async def _ask(self, call_sid: CallSid) -> None:
        if call_sid in self.asked:
            return
        self.asked.add(call_sid)
        await self._renew()
        told = await self.rest.call(self.account, call_sid)
        # The account's own list of recordings does not tell the track, and without it a recording of the called party
        # alone would pass for one of both.
        recordings = await self.rest.recordings_of(self.account, call_sid)
        await self._take_in(call_sid, told, recordings, asked_for_all=True)

    async def _take_in(
        self,
        call_sid: CallSid,
        told: Told[StatusCallback] | None,
        recordings: Sequence[Told[RecordingCallback]] = (),
        *,
        asked_for_all: bool,
    ) -> None:
        try:
            async with self.database.transaction() as session:
                before = await reconciling.standing(session, call_sid)
            for recording in recordings:
                async with self.database.transaction() as session:
                    await intake.take_recording(session, recording.raw, recording.event, self.numbers)
            if told is not None:
                async with self.database.transaction() as session:
                    await intake.take_status(session, told.raw, told.event, self.numbers)
            async with self.database.transaction() as session:
                concluded = asked_for_all and await reconciling.note_asked(session, call_sid, quiet_s=self.quiet_s)
                self._compare(call_sid, before, await reconciling.standing(session, call_sid))
        except AmdError:
            raise
        except Exception:
            # A call that cannot be taken in must not keep all others from it, now and at every later sweep.
            self.metrics.loop_errors.labels("reconciling").inc()
            log.exception("not taken in", call_sid=call_sid)
            return
        if concluded:
            self.changed.add(call_sid)

    def _compare(self, call_sid: CallSid, before: Standing | None, after: Standing | None) -> None:
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
            renewed = await reconciling.keep_turn(session, self.turn, lease_s=LEASE_S)
        if renewed is None:
            raise TurnLost("another process asks about this account by now")
        self.turn = renewed

    def _report(self) -> None:
        findings = self.findings
        findings.calls_asked = len(self.listed | self.asked)
        findings.calls_changed = len(self.changed)
        found = {"call": findings.calls_new, "recording": findings.recordings_new, "change": findings.calls_changed}
        for what, count in found.items():
            self.metrics.reconciled.labels(what).inc(count)
        if any(found.values()):
            log.warning("callbacks had left something out", account_sid=findings.account_sid, **found)


def _is_missing(call: StatusCallback, known: Mapping[str, str | None], quiet_since: datetime) -> bool:
    """Whether a call that Twilio lists should be taken in: it ended a while ago, and is ours.

    What nobody told us of and we did not dial (inbound calls, legs of a `<Dial>`) is not.
    """
    if call.call_status not in ENDED or (call.timestamp is not None and call.timestamp > quiet_since):
        return False
    return known[call.call_sid] not in ENDED if call.call_sid in known else call.direction == OUTBOUND


async def _batches(items: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
