"""Decides which accounts are due for a sweep and at which time the range of each sweep begins."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from amd_service.calls import reconciliation
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.reconciliation import SweepLease
from amd_service.database.pool import Database
from amd_service.domain import AccountSid
from amd_service.operations.reconcile.account_sweep import LEASE_S, AccountSweep, SweepRange
from amd_service.operations.reconcile.answer_store import AnswerStore
from amd_service.operations.reconcile.report import SweepReport
from amd_service.settings import Account
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import RestClient

# Overlap between the ranges of two sweeps. Twilio's list is filtered by the start time of calls. Twilio lets a call
# ring for at most 10 minutes and, by default, ends it 4 hours later. So a call that began more than 4 h 10 min before
# the previous sweep had ended by the time of that sweep.
OVERLAP = timedelta(hours=4, minutes=10)
# Calls whose row is older than this time are no longer requested: Twilio will not return anything new about them.
OPEN_FOR = timedelta(hours=48)


class Reconciliation:
    """Recovers lost callbacks of all accounts.

    `rest`: a client with a rate limit, see AMD_RECONCILE_PER_S. `every_s`: seconds between two sweeps of an account.
    `quiet_s`: seconds that a sweep waits for the callbacks of a call before it requests the call.
    """

    def __init__(
        self,
        *,
        database: Database,
        rest: RestClient,
        accounts: Mapping[AccountSid, Account],
        numbers: NumberPolicy,
        every_s: float,
        quiet_s: float,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._rest = rest
        self._accounts = accounts
        self._numbers = numbers
        self._every_s = every_s
        self._quiet_s = quiet_s
        self._metrics = metrics

    async def sweep_due_accounts(self) -> list[SweepReport]:
        """Sweep every account that is due and that no other process has leased.

        If a sweep is aborted, the next sweep covers calls since the same start time. If Twilio sent a Retry-After, the
        next sweep waits at least that long.
        """
        reports = []
        for account in self._accounts.values():
            async with self._database.transaction() as session:
                lease = await reconciliation.acquire_lease(session, account.account_sid, lease_s=LEASE_S)
            if lease is not None:
                reports.append(await self._sweep(account, lease))
        return reports

    async def sweep_since(self, since: datetime) -> list[SweepReport]:
        """Sweep all accounts immediately, from `since` on, without waiting for callbacks that may still arrive."""
        span = SweepRange(since, open_since=since - OVERLAP, quiet_s=0.0)
        return [await self._account_sweep(account, span).run() for account in self._accounts.values()]

    async def _sweep(self, account: Account, lease: SweepLease) -> SweepReport:
        # Skip calls older than our first sweep: they belong to other applications of the account. The quiet time is
        # subtracted because the previous sweep skipped the calls that had just ended, to wait for their callbacks.
        cursor = (lease.swept_until or lease.began_at) - OVERLAP - timedelta(seconds=self._quiet_s)
        span = SweepRange(max(lease.first_at, cursor), open_since=lease.began_at - OPEN_FOR, quiet_s=self._quiet_s)
        sweep = self._account_sweep(account, span, lease)
        report = await sweep.run()
        is_complete = report.error is None and not await sweep.must_repeat_lists()
        next_in_s = max(self._every_s, sweep.wait_s)
        async with self._database.transaction() as session:
            await reconciliation.finish_sweep(session, sweep.lease or lease, complete=is_complete, next_in_s=next_in_s)
        return report

    def _account_sweep(self, account: Account, span: SweepRange, lease: SweepLease | None = None) -> AccountSweep:
        report = SweepReport(account.account_sid)
        store = AnswerStore(self._database, self._numbers, self._metrics, quiet_s=span.quiet_s, report=report)
        return AccountSweep(self._database, self._rest, self._metrics, account, span, store, report, lease)
