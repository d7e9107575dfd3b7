"""Which accounts are due for a sweep, and where each sweep starts."""

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

# A list is sorted by when calls began. Twilio lets a call ring for ten minutes at most and ends it four hours later
# unless told otherwise, so a call that began before that had ended by the previous sweep.
OVERLAP = timedelta(hours=4, minutes=10)
# Twilio has no more to say about a call that is open for this long.
OPEN_FOR = timedelta(hours=48)


class Reconciliation:
    """Recovers lost callbacks of all accounts.

    `rest`: a client with a rate limit, see AMD_RECONCILE_PER_S. `every_s`: time between two sweeps of an account.
    `quiet_s`: how long a callback may be late before Twilio is asked.
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

        The next sweep after an aborted one has the same range. It starts no earlier than Twilio asked for.
        """
        reports = []
        for account in self._accounts.values():
            async with self._database.transaction() as session:
                lease = await reconciliation.acquire_lease(session, account.account_sid, lease_s=LEASE_S)
            if lease is not None:
                reports.append(await self._sweep(account, lease))
        return reports

    async def sweep_since(self, since: datetime) -> list[SweepReport]:
        """Sweep all accounts now, from `since` on, including calls whose callbacks may still be on the way."""
        span = SweepRange(since, open_since=since - OVERLAP, quiet_s=0.0)
        return [await self._account_sweep(account, span).run() for account in self._accounts.values()]

    async def _sweep(self, account: Account, lease: SweepLease) -> SweepReport:
        # Skip calls older than our first sweep: they belong to other applications of the account. Calls that had just
        # ended at the previous sweep were left to their callbacks for the quiet time.
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
