"""Actions on a call after its verdict. Each action is requested from Twilio at most once.

An action is marked `sent` and committed before the request to Twilio. If the process dies before Twilio's response
arrives, the action stays `sent` and is never requested again. Twilio may have executed the first request, and a second
request could hang up or redirect a call in which a person is already talking to somebody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.analysis import lock_call, refresh_call
from amd_service.calls.storable import storable
from amd_service.calls.tables import CallLog
from amd_service.calls.tables.call_log import ACTION_DUE
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    AccountSid,
    Action,
    ActionKind,
    ActionState,
    CallSid,
    Label,
    Source,
)

# Maximum age of an action in seconds. A running worker claims an action within milliseconds, so an older action was
# scheduled while no worker was running. The people on the call have then been talking for a minute, so an action would
# only interrupt them. The same limit applies to the seconds between the answer of a call and the verdict on its
# recording. No limit applies to a live verdict, which comes within seconds of the answer.
ACT_WITHIN_S = 60.0

_NO_WORKER_NOTE = (
    f"no worker claimed the action within {ACT_WITHIN_S:.0f} s: run a worker with the credentials of this account, "
    "AMD_ON_HUMAN and AMD_ON_VOICEMAIL"
)
# Hint for calls whose verdict is based on a recording. The hint names the TwiML, because a call with other TwiML has no
# live stream even if AMD_LIVE is on.
_USE_STREAMS_HINT = "to act on a call in progress, set AMD_LIVE and use /twilio/stream.xml as the TwiML of the call"


@dataclass(frozen=True, slots=True)
class DueAction:
    """A claimed action. `label`: the verdict that the action was scheduled for."""

    call_sid: CallSid
    account_sid: AccountSid
    kind: ActionKind
    label: Label
    campaign: str | None


@dataclass(frozen=True, slots=True)
class ClaimedActions:
    """Actions that one call of `claim_due` found.

    `due`: actions to request from Twilio. `refused`: actions that are too late.
    """

    due: list[DueAction]
    refused: list[DueAction]


async def schedule(session: AsyncSession, call: CallLog, wanted: Mapping[Label, Action]) -> None:
    """Schedule the action that `wanted` contains for the verdict of a locked call, at most once per call.

    Use this function after `refresh_call`, in the transaction that writes the verdict. The verdict and its action are
    then written together or not at all. A later verdict schedules nothing, with one exception: if the action of a
    recording's verdict was refused, a stream's verdict may schedule an action.
    """
    action = None if call.label is None else wanted.get(Label(call.label))
    is_open = call.action is None or (call.action_state == ActionState.REFUSED and call.verdict_source == Source.STREAM)
    if action is None or not is_open:
        return
    note = _call_over_note(call) if call.call_status in TERMINAL_CALL_STATUSES else await _too_late_note(session, call)
    call.action = action.kind
    if note is None:
        call.action_state, call.action_note, call.action_at = ActionState.DUE, None, func.now()
    else:
        _refuse(call, note)
    await session.flush()


async def claim_due(
    session: AsyncSession, accounts: Collection[AccountSid], wanted: Mapping[Label, Action], limit: int
) -> ClaimedActions:
    """Mark up to `limit` due actions as `sent`. Commit before the first request to Twilio.

    Actions of other accounts, and actions that are not in `wanted`, stay due, because other workers may have other
    settings. Every worker refuses actions that are too late.
    """
    # The row still has the label that the action was scheduled for: `refresh_call` keeps the verdict of a due action.
    is_wanted = tuple_(CallLog.label, CallLog.action).in_([(label, action.kind) for label, action in wanted.items()])
    is_late = CallLog.action_at < func.now() - timedelta(seconds=ACT_WITHIN_S)
    # SKIP LOCKED: two workers claim different actions, and neither waits for a callback that is changing the row.
    statement = (
        select(CallLog, is_late)
        .where(text(ACTION_DUE))
        .where((CallLog.account_sid.in_(accounts) & is_wanted) | is_late)
        .order_by(CallLog.verdict_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )
    claimed = ClaimedActions([], [])
    for call, late in (await session.execute(statement)).all():
        note = _NO_WORKER_NOTE if late else None
        if call.call_status in TERMINAL_CALL_STATUSES:
            note = _call_over_note(call)
        if note is None:
            call.action_state, call.action_at = ActionState.SENT, func.now()
            claimed.due.append(_due_action(call))
        else:
            _refuse(call, note)
            claimed.refused.append(_due_action(call))
            await refresh_call(session, call)
    await session.flush()
    return claimed


def _due_action(call: CallLog) -> DueAction:
    return DueAction(
        call_sid=CallSid(call.call_sid),
        account_sid=AccountSid(call.account_sid),
        kind=ActionKind(call.action or ""),
        label=Label(call.label or ""),
        campaign=call.campaign,
    )


async def record_outcome(session: AsyncSession, call_sid: str, state: ActionState, note: str | None = None) -> None:
    """Write the outcome of a sent action. `SENT` with a note means that Twilio's response was lost."""
    call = await lock_call(session, call_sid)
    if call.action_state != ActionState.SENT:
        return
    call.action_state, call.action_at = state, func.now()
    call.action_note = None if note is None else storable(note)
    # A failed action no longer protects the verdict on the row, so the row gets the latest verdict.
    await refresh_call(session, call)


async def _too_late_note(session: AsyncSession, call: CallLog) -> str | None:
    """Return the reason why a recording's verdict is too late for an action, or None if the verdict is in time.

    The delay is counted from the answer of the call. It is not counted from the start of the recording, because a
    recording can start in the middle of the call.
    """
    if call.verdict_source != Source.RECORDING:
        return None
    if call.answered_at is None:
        return "the time of the answer is not known: let Twilio report the event `answered` to /twilio/status"
    age_s = ((await session.scalars(select(func.now()))).one() - call.answered_at).total_seconds()
    if age_s <= ACT_WITHIN_S:
        return None
    return (
        f"the verdict on the recording came {age_s:.0f} s after the answer of the call, and the limit is "
        f"{ACT_WITHIN_S:.0f} s: {_USE_STREAMS_HINT}"
    )


def _call_over_note(call: CallLog) -> str:
    if call.verdict_source == Source.STREAM:
        return f"the call ended before the action was requested: {call.call_status}"
    ended = f"the call ended before the verdict: {call.call_status}"
    return f"{ended}; a recording is only judged after the recording ends; {_USE_STREAMS_HINT}"


def _refuse(call: CallLog, note: str) -> None:
    call.action_state, call.action_note, call.action_at = ActionState.REFUSED, note, func.now()
