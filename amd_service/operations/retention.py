"""Deletes old data in batches: Twilio's copies of judged recordings, callbacks, numbers that must not be kept."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import deliveries, erasure, expiry, number_backfill
from amd_service.calls.erasure import Erasable
from amd_service.calls.number_backfill import Cursor, ScanStep
from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.pool import Database
from amd_service.domain import AccountSid
from amd_service.errors import CredentialsRefused, RequestRefused
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import RestClient

log = get_logger(__name__)

ERASE_EVERY_S = 60.0
FORGET_EVERY_S = 3600.0

# A scan of a table starts this long before the end of the previous scan. The overlap finds rows that a process with the
# old settings has written after that scan.
OVERLAP = timedelta(days=1)

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

ExpireBatch = Callable[[AsyncSession], Awaitable[int]]
Backfill = Callable[[AsyncSession, NumberPolicy, Cursor, int], Awaitable[ScanStep]]

# Pairs of a backfill and the cursor at which its first scan starts. Callbacks come first, because the next callback of
# a call rebuilds the call's row in call_log from the stored callbacks.
BACKFILLS: Sequence[tuple[Backfill, Cursor]] = (
    (number_backfill.apply_number_policy_to_callbacks, Cursor(_BEGINNING, 0)),
    (number_backfill.apply_number_policy_to_calls, Cursor(_BEGINNING, "")),
)


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """Rows per transaction.

    `erase`: maximum number of recordings claimed for deletion at once. A claim postpones the next deletion attempt by
    five minutes. Five minutes are enough even if every request to Twilio times out.

    `expire`: maximum number of rows deleted at once. A batch takes 12 ms (measured with 200 000 callbacks). The time
    limit of a statement is 3 s.

    `backfill`: maximum number of rows that a step of a scan reads and locks. A step takes 7 ms, or 27 ms if it rewrites
    every row.
    """

    erase: int = 10
    expire: int = 500
    backfill: int = 100


class Retention:
    """Deletes data that the settings do not allow to keep.

    `rest`: a client with a rate limit, see AMD_RECONCILE_PER_S. `callback_days`: age in days at which the parameters of
    callbacks are deleted; None keeps them. `delivery_days`: age in days at which finished deliveries are deleted.
    """

    def __init__(
        self,
        *,
        database: Database,
        rest: RestClient,
        accounts: Mapping[AccountSid, Account],
        numbers: NumberPolicy,
        callback_days: int | None,
        delivery_days: float,
        metrics: Metrics,
        batches: BatchSizes = BatchSizes(),
        backfills: Sequence[tuple[Backfill, Cursor]] = BACKFILLS,
    ) -> None:
        self._database = database
        self._rest = rest
        self._accounts = accounts
        self._numbers = numbers
        self._callback_days = callback_days
        self._delivery_days = delivery_days
        self._batches = batches
        self._cursors = dict(backfills)
        self.metrics = metrics

    async def erase(self) -> None:
        """Delete Twilio's copies of our judged recordings. Raises TwilioUnavailable.

        If Twilio refuses the credentials of an account, the rest of this run skips the account.
        """
        accounts = set(self._accounts)
        while accounts:
            async with self._database.transaction() as session:
                claim = await erasure.claim_erasable(session, accounts, self._batches.erase)
            if not claim.examined:
                return
            for recording in claim.erasable:
                if recording.account_sid in accounts and not await self._erase(recording):
                    accounts.remove(recording.account_sid)

    async def _erase(self, recording: Erasable) -> bool:
        """Delete one recording at Twilio. Returns False if Twilio refused the account's credentials."""
        sids = {"recording_sid": recording.recording_sid, "account_sid": recording.account_sid}
        try:
            await self._rest.delete_recording(self._accounts[recording.account_sid], recording.recording_sid)
        except RequestRefused as error:
            self.metrics.forgotten.labels("refused").inc()
            log.warning("recording deletion refused, retrying later", error=str(error), **sids)
            return not isinstance(error, CredentialsRefused)
        async with self._database.transaction() as session:
            await erasure.mark_erased(session, recording.recording_sid)
        self.metrics.forgotten.labels("recording").inc()
        log.info("recording deleted at Twilio", **sids)
        return True

    async def forget(self) -> None:
        """Delete rows that are too old, and apply the number policy to rows that were stored before it was set."""
        limit, days = self._batches.expire, self._callback_days
        await self._expire("call_request", lambda session: expiry.delete_old_requests(session, limit))
        kept = self._delivery_days
        await self._expire("delivery", lambda session: deliveries.delete_finished(session, days=kept, limit=limit))
        if days is not None:
            await self._expire("callback", lambda session: expiry.strip_callbacks(session, days=days, limit=limit))
        if not self._numbers.keeps_numbers:
            for backfill in self._cursors:
                await self._scan(backfill)

    async def _expire(self, what: str, expire_batch: ExpireBatch) -> None:
        total = 0
        while True:
            async with self._database.transaction() as session:
                changed = await expire_batch(session)
            self.metrics.forgotten.labels(what).inc(changed)
            total += changed
            if changed < self._batches.expire:
                break
        if total:
            log.info("old rows deleted", what=what, count=total)

    async def _scan(self, backfill: Backfill) -> None:
        """Apply the number policy to a table, from the cursor of the previous scan to the table's end."""
        changed = 0
        while True:
            async with self._database.transaction() as session:
                step = await backfill(session, self._numbers, self._cursors[backfill], self._batches.backfill)
            self.metrics.forgotten.labels("numbers").inc(step.changed)
            changed += step.changed
            if step.cursor is None:
                break
            self._cursors[backfill] = step.cursor
        if changed:
            log.info("number policy applied to old rows", mode=self._numbers.mode, count=changed)
        end = self._cursors[backfill]
        self._cursors[backfill] = Cursor(max(_BEGINNING, end.at - OVERLAP), end.key)
