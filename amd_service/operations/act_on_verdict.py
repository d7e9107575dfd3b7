"""Acts on verdicts: hangs up or redirects the call, at most once, and writes how it went on its row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.contextvars import bound_contextvars

from amd_service.calls import actions
from amd_service.calls.actions import ACT_WITHIN_S, DueAction
from amd_service.database.listener import wake_on_notify
from amd_service.database.pool import Database
from amd_service.domain import Action, ActionKind, ActionState
from amd_service.errors import AmdError, OutcomeUnknown, RequestRefused, TwilioUnavailable
from amd_service.operations.masking import mask_urls
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.rest import RestClient

log = get_logger(__name__)

# How many calls one process acts on at a time; more wait, in Postgres, for the next answer.
AT_ONCE = 16

# Waits before asking again, where the request provably did nothing: it never left, or Twilio answered 429.
RETRY_PAUSES_S = (0.5, 2.0)

# How often is looked without a notification: one that was missed must not cost more than this.
LOOK_EVERY_S = 5.0

# How often who wants nothing done looks for what is late; nothing else brings it round.
REFUSE_EVERY_S = 30.0

Outcome = tuple[ActionState, str | None]


class ActionRunner:
    """Takes up actions that are due. Set `wake` when there may be one."""

    def __init__(self, *, database: Database, rest: RestClient, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._rest = rest
        self._accounts = settings.accounts
        self._wanted = settings.actions
        self._metrics = metrics
        self._asking: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()

    async def act(self) -> None:
        """Take up what is due. Waits for no answer of Twilio's: one that is slow must not keep other calls waiting."""
        while (free := AT_ONCE - len(self._asking)) > 0:
            async with self._database.transaction() as session:
                taken = await actions.claim_due(session, self._accounts, self._wanted, free)
            for refused in taken.refused:
                self._count(refused, ActionState.REFUSED)
            for due in taken.due:
                self._start(due)
            if not taken.due and not taken.refused:
                return

    async def last_look(self, grace_s: float) -> None:
        """Take up what the last verdicts of this process ordered, and wait for answers: `grace_s` seconds each."""
        try:
            async with asyncio.timeout(grace_s):
                await self.act()
        except (AmdError, TimeoutError) as error:
            log.warning("actions are left to other workers", error=str(error) or type(error).__name__)
        await self.finish(grace_s)

    async def finish(self, grace_s: float | None = None) -> None:
        """Wait for what was asked, `grace_s` seconds at most; what has no answer then stays `sent`."""
        if not self._asking:
            return
        _, late = await asyncio.wait(self._asking, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _start(self, due: DueAction) -> None:
        task = asyncio.create_task(self._settle(due))
        self._asking.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self.wake.set()  # a place is free
        if not task.cancelled() and (error := task.exception()) is not None:
            self._metrics.loop_errors.labels("acting").inc()
            log.error("how an action came out could not be written; its row stays at sent", exc_info=error)

    async def _settle(self, due: DueAction) -> None:
        with bound_contextvars(call_sid=due.call_sid, account_sid=due.account_sid):
            state, note = await self._ask(due)
            log.info("acted on the verdict", kind=due.kind, label=due.label, outcome=state, note=note)
            self._count(due, state)
            async with self._database.transaction() as session:
                await actions.record_outcome(session, due.call_sid, state, note)

    async def _ask(self, due: DueAction) -> Outcome:
        action = self._wanted[due.label]
        try:
            await self._asking_again(self._accounts[due.account_sid], due, action)
        except RequestRefused as error:
            return ActionState.REFUSED, mask_urls(str(error), action.url)
        except TwilioUnavailable as error:
            return ActionState.FAILED, f"nothing was done: {error}"
        except OutcomeUnknown as error:
            return ActionState.SENT, f"it may have been done, the answer was lost: {error}"
        except Exception as error:
            # An answer that cannot be read, or a fault of ours after the request was sent.
            log.exception("Twilio's answer to an action could not be read")
            return ActionState.SENT, f"it may have been done, the answer could not be read: {type(error).__name__}"
        return ActionState.DONE, None

    async def _asking_again(self, account: Account, due: DueAction, action: Action) -> None:
        """Ask; again after a pause where nothing was done, for as long as acting still makes sense."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + ACT_WITHIN_S
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                await self._do(account, due, action)
            except TwilioUnavailable as error:
                wait_s = max(pause_s or 0.0, error.retry_after_s or 0.0)
                if pause_s is None or now() + wait_s > give_up_at:
                    raise
                log.warning("asking again", error=str(error), in_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                return

    async def _do(self, account: Account, due: DueAction, action: Action) -> None:
        if action.kind is ActionKind.HANG_UP:
            await self._rest.hang_up(account, due.call_sid)
        else:
            await self._rest.redirect(account, due.call_sid, action.url or "")

    def _count(self, due: DueAction, state: ActionState) -> None:
        self._metrics.actions.labels(due.kind, state).inc()


@asynccontextmanager
async def acting(
    actor: ActionRunner, database: Database, metrics: Metrics, *, grace_s: float
) -> AsyncIterator[ActionRunner]:
    """Wake `actor` the moment an action is ordered; at the end give what it asked `grace_s` seconds to be answered."""
    async with wake_on_notify(database.url, actor.wake, metrics):
        try:
            yield actor
        finally:
            await actor.last_look(grace_s)
