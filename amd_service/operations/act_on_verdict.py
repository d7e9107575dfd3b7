"""Runs the action that follows a verdict: hangs up or redirects the call, at most once. Stores the outcome."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from structlog.contextvars import bound_contextvars

from amd_service.calls import actions
from amd_service.calls.actions import ACT_WITHIN_S, DueAction
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, Action, ActionKind, ActionState, Label
from amd_service.errors import AmdError, DatabaseUnavailable, OutcomeUnknown, RequestRefused, TwilioUnavailable
from amd_service.operations.masking import mask_urls
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import RestClient

log = get_logger(__name__)

# Maximum number of actions that one process runs at once. Further actions stay queued in Postgres until a running
# request to Twilio finishes.
CONCURRENCY = 16

# Pauses in seconds before the first and the second retry. A request is retried only if it had no effect: it was not
# sent, or Twilio responded 429.
RETRY_PAUSES_S = (0.5, 2.0)

# Pause in seconds before the outcome of an action is stored again, after the database was unavailable.
STORE_PAUSE_S = 1.0

# Seconds between two checks for due actions. Normally a notification from Postgres starts an action; if a notification
# is lost, the action starts at most this many seconds later.
LOOK_EVERY_S = 5.0

# Seconds between two checks for actions that are too late, in a process whose settings contain no action. Such a
# process gets no notifications.
REFUSE_EVERY_S = 30.0

Outcome = tuple[ActionState, str | None]


class ActionRunner:
    """Claims due actions and sends their requests to Twilio. Set `wake` when an action may be due.

    `wanted`: the action for each label. `running`: the actions whose outcome is not stored yet.
    """

    def __init__(
        self,
        *,
        database: Database,
        rest: RestClient,
        accounts: Mapping[AccountSid, Account],
        wanted: Mapping[Label, Action],
        metrics: Metrics,
        concurrency: int = CONCURRENCY,
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self._database = database
        self._rest = rest
        self._accounts = accounts
        self._wanted = wanted
        self._concurrency = concurrency
        self._retry_pauses_s = retry_pauses_s
        self.metrics = metrics
        self.running: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()

    async def start_due(self) -> None:
        """Start the due actions. The method does not wait for Twilio, so a slow response does not delay other calls."""
        while (free := self._concurrency - len(self.running)) > 0:
            async with self._database.transaction() as session:
                claimed = await actions.claim_due(session, self._accounts, self._wanted, free)
            for refused in claimed.refused:
                self._count(refused, ActionState.REFUSED)
            for due in claimed.due:
                task = asyncio.create_task(self._run(due))
                self.running.add(task)
                task.add_done_callback(self._on_done)
            if not claimed.due and not claimed.refused:
                return

    async def run_last(self, *, start_s: float, wait_s: float) -> None:
        """Start the actions of the last verdicts, then wait for Twilio's responses.

        Maximum seconds for the two steps: `start_s`, `wait_s`.
        """
        try:
            async with asyncio.timeout(start_s):
                await self.start_due()
        except (AmdError, TimeoutError) as error:
            log.warning("remaining actions not started before shutdown", error=str(error) or type(error).__name__)
        await self.wait_for_responses(wait_s)

    async def wait_for_responses(self, grace_s: float | None = None) -> None:
        """Wait for running actions, at most `grace_s` seconds.

        An action that is still running after this time keeps the state `sent`.
        """
        if not self.running:
            return
        _, late = await asyncio.wait(self.running, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self.wake.set()  # a slot is free, so another action may start
        if not task.cancelled() and (error := task.exception()) is not None:
            self.metrics.loop_errors.labels("acting").inc()
            log.error("action outcome not stored, row keeps the state 'sent'", exc_info=error)

    async def _run(self, due: DueAction) -> None:
        with bound_contextvars(call_sid=due.call_sid, account_sid=due.account_sid):
            state, note = await self._request(due)
            log.info("action finished", kind=due.kind, label=due.label, outcome=state, note=note)
            self._count(due, state)
            await self._store(due, state, note)

    async def _store(self, due: DueAction, state: ActionState, note: str | None) -> None:
        """Store the outcome. While the database is unavailable or the call is locked, storing is repeated."""
        while True:
            try:
                async with self._database.transaction() as session:
                    await actions.record_outcome(session, due.call_sid, state, note)
            except DatabaseUnavailable as error:
                log.warning("action outcome not stored, retrying", error=str(error), in_s=STORE_PAUSE_S)
                await asyncio.sleep(STORE_PAUSE_S)
            else:
                return

    async def _request(self, due: DueAction) -> Outcome:
        action = self._wanted[due.label]
        try:
            await self._request_with_retries(self._accounts[due.account_sid], due, action)
        except RequestRefused as error:
            return ActionState.REFUSED, mask_urls(str(error), action.url)
        except TwilioUnavailable as error:
            return ActionState.FAILED, f"nothing was done: {error}"
        except OutcomeUnknown as error:
            return ActionState.SENT, f"the action may have been done, Twilio's response was lost: {error}"
        except Exception as error:
            # Twilio's response cannot be read, or our code failed after the request was sent. Twilio may have done the
            # action.
            log.exception("unreadable response to an action")
            return (
                ActionState.SENT,
                f"the action may have been done, Twilio's response is unreadable: {type(error).__name__}",
            )
        return ActionState.DONE, None

    async def _request_with_retries(self, account: Account, due: DueAction, action: Action) -> None:
        """Send the action's request. Retry if Twilio did nothing, until it is too late for the action."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + ACT_WITHIN_S
        for pause_s in (*self._retry_pauses_s, None):
            try:
                if action.kind is ActionKind.HANG_UP:
                    await self._rest.hang_up(account, due.call_sid)
                else:
                    await self._rest.redirect(account, due.call_sid, action.url or "")
            except TwilioUnavailable as error:
                wait_s = max(pause_s or 0.0, error.retry_after_s or 0.0)
                if pause_s is None or now() + wait_s > give_up_at:
                    raise
                log.warning("action failed, retrying", error=str(error), in_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                return

    def _count(self, due: DueAction, state: ActionState) -> None:
        self.metrics.actions.labels(due.kind, state, self.metrics.campaign_label(due.campaign)).inc()


@asynccontextmanager
async def run_actions(
    runner: ActionRunner, database: Database, *, start_s: float, wait_s: float
) -> AsyncIterator[ActionRunner]:
    """Wake `runner` whenever an action is scheduled. At the end run the last actions, see `ActionRunner.run_last`."""
    async with database.wake_on_notify(runner.wake, runner.metrics):
        try:
            yield runner
        finally:
            await runner.run_last(start_s=start_s, wait_s=wait_s)
