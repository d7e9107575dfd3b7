"""Forgets, a batch at a time: Twilio's copies of judged recordings, old callbacks, numbers that must not be kept."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import erasure, expiry, number_backfill
from amd_service.calls.erasure import Erasable
from amd_service.calls.number_backfill import Cursor, ScanStep
from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.pool import Database
from amd_service.errors import CredentialsRefused, RequestRefused
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import RestClient

log = get_logger(__name__)

ERASE_EVERY_S = 60.0
FORGET_EVERY_S = 3600.0

# Deletions claimed at once: at the slowest, with a time-out each, well within the five minutes they are put off by.
ERASE_BATCH = 10
# Rows forgotten in one transaction: 12 ms (measured with 200 000 callbacks), where a statement may take 3 s.
BATCH = 500
# Rows looked at in one step of a walk, and their locks held: 7 ms, and 27 ms where each one has to be rewritten.
WALK_BATCH = 100

# A walk through the table begins this long before where the last one ended: a process that was started before the
# setting was changed may still have been writing.
OVERLAP = timedelta(days=1)

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Batch = Callable[[AsyncSession], Awaitable[int]]
Align = Callable[[AsyncSession, NumberPolicy, Cursor, int], Awaitable[ScanStep]]


class Retention:
    """Does what the settings say about forgetting. `rest`: one that takes its time, see AMD_RECONCILE_PER_S."""

    def __init__(self, *, database: Database, rest: RestClient, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._rest = rest
        self._settings = settings
        self._metrics = metrics
        self._numbers = NumberPolicy.from_settings(settings)
        # Callbacks first: a row in call_log follows from them whenever another one comes in.
        self._walks: dict[Align, Cursor] = {
            number_backfill.apply_number_policy_to_callbacks: Cursor(_BEGINNING, 0),
            number_backfill.apply_number_policy_to_calls: Cursor(_BEGINNING, ""),
        }

    async def erase(self) -> None:
        """Delete Twilio's copies of our recordings that have their verdict. Raises TwilioUnavailable: later, then.

        An account whose credentials are refused is left alone until the next time.
        """
        accounts = set(self._settings.accounts)
        while accounts:
            async with self._database.transaction() as session:
                claim = await erasure.claim_erasable(session, accounts, ERASE_BATCH)
            if not claim.examined:
                return
            for recording in claim.erasable:
                if recording.account_sid in accounts and not await self._erase(recording):
                    accounts.remove(recording.account_sid)

    async def _erase(self, recording: Erasable) -> bool:
        """Whether the account's credentials are good for more."""
        sids = {"recording_sid": recording.recording_sid, "account_sid": recording.account_sid}
        try:
            await self._rest.delete_recording(self._settings.accounts[recording.account_sid], recording.recording_sid)
        except RequestRefused as error:
            self._metrics.forgotten.labels("refused").inc()
            log.warning("Twilio will not delete a recording, asked again later", error=str(error), **sids)
            return not isinstance(error, CredentialsRefused)
        async with self._database.transaction() as session:
            await erasure.mark_erased(session, recording.recording_sid)
        self._metrics.forgotten.labels("recording").inc()
        log.info("recording deleted at Twilio", **sids)
        return True

    async def forget(self) -> None:
        """Drop what is too old, and what the settings no longer allow to be kept."""
        await self._all("call_request", lambda session: expiry.delete_old_requests(session, BATCH))
        days = self._settings.callback_days
        if days is not None:
            await self._all("callback", lambda session: expiry.strip_callbacks(session, days=days, limit=BATCH))
        if not self._numbers.keeps_numbers:
            for align in self._walks:
                await self._walk(align)

    async def _all(self, what: str, batch: Batch) -> None:
        done = 0
        while True:
            async with self._database.transaction() as session:
                changed = await batch(session)
            self._metrics.forgotten.labels(what).inc(changed)
            done += changed
            if changed < BATCH:
                break
        if done:
            log.info("forgotten for their age", what=what, count=done)

    async def _walk(self, align: Align) -> None:
        """Go through a table, from where the last walk got to, to its end."""
        changed = 0
        while True:
            async with self._database.transaction() as session:
                step = await align(session, self._numbers, self._walks[align], WALK_BATCH)
            self._metrics.forgotten.labels("numbers").inc(step.changed)
            changed += step.changed
            if step.cursor is None:
                break
            self._walks[align] = step.cursor
        if changed:
            log.info("phone numbers brought in line", mode=self._numbers.mode, count=changed)
        reached = self._walks[align]
        self._walks[align] = Cursor(max(_BEGINNING, reached.at - OVERLAP), reached.key)
