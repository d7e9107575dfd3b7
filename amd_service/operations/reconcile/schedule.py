"""Whose turn it is to ask Twilio for what its callbacks left out, and from when on."""

from datetime import datetime, timedelta

from amd_service.calls import reconciliation
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.reconciliation import SweepLease
from amd_service.database.pool import Database
from amd_service.operations.reconcile.account_sweep import LEASE_S, AccountSweep, SweepReport
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import RestClient

# A list names calls by when they began. Twilio has a call ring for ten minutes at most and ends it four hours later,
# unless it was told otherwise, so what began before that had ended by the sweep before.
OVERLAP = timedelta(hours=4, minutes=10)
# Of a call that is open after so long, Twilio has no more to tell.
OPEN_FOR = timedelta(hours=48)


class Reconciliation:
    """Finds what callbacks left out. `rest`: one that takes its time, see AMD_RECONCILE_PER_S."""

    def __init__(self, *, database: Database, rest: RestClient, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._rest = rest
        self._settings = settings
        self._metrics = metrics

    async def sweep(self) -> list[SweepReport]:
        """Ask about every account whose turn it is and that no other process asks about.

        One that could not be asked to the end is asked again, from the same moment on, at its next turn: not before
        Twilio wants it.
        """
        done = []
        for account in self._settings.accounts.values():
            async with self._database.transaction() as session:
                turn = await reconciliation.acquire_lease(session, account.account_sid, lease_s=LEASE_S)
            if turn is not None:
                done.append(await self._take_turn(account, turn))
        return done

    async def by_hand(self, since: datetime) -> list[SweepReport]:
        """Ask about everything since then, also where a callback may still be on its way."""
        accounts = self._settings.accounts.values()
        return [
            await self._about(account, since=since, open_since=since - OVERLAP, quiet_s=0.0).run()
            for account in accounts
        ]

    async def _take_turn(self, account: Account, turn: SweepLease) -> SweepReport:
        quiet_s = self._settings.reconcile_after_s
        sweep = self._about(
            account,
            # An account has calls of other applications too: what began before we first ran is nobody's loss of ours.
            # What had ended by the sweep before was left alone by it for the quiet time.
            since=max(turn.first_at, (turn.swept_until or turn.began_at) - OVERLAP - timedelta(seconds=quiet_s)),
            open_since=turn.began_at - OPEN_FOR,
            quiet_s=quiet_s,
        )
        sweep.turn = turn
        findings = await sweep.run()
        complete = findings.error is None and not await sweep.would_forget()
        next_in_s = max(self._settings.reconcile_every_s, sweep.wait_s)
        async with self._database.transaction() as session:
            await reconciliation.finish_sweep(session, sweep.turn, complete=complete, next_in_s=next_in_s)
        return findings

    def _about(self, account: Account, *, since: datetime, open_since: datetime, quiet_s: float) -> AccountSweep:
        findings = SweepReport(account.account_sid)
        numbers = NumberPolicy.from_settings(self._settings)
        return AccountSweep(
            self._database, self._rest, self._metrics, numbers, account, since, open_since, quiet_s, findings
        )
