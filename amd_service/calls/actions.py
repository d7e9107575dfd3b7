"""Actions on a call after its verdict: scheduled with the verdict, sent once, and never twice.

An action is marked `sent` and committed before the request to Twilio. If the process dies in between, it stays `sent`:
it may have been done, and a second attempt could hang up on, or redirect, a person who has been put through.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.analysis import lock_call, refresh_call
from amd_service.calls.storable import storable
from amd_service.calls.tables import CallLog
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

# A worker claims an action within milliseconds. An action that waited longer had no worker, and by then people have
# been talking for a while: interrupting them helps nobody. The same limit applies to a recording that was judged this
# long after the answer. A live verdict comes within seconds of it.
ACT_WITHIN_S = 60.0

_NO_WORKER_NOTE = (
    f"no worker took it up within {ACT_WITHIN_S:.0f} s: one must run that has its account's credentials, AMD_ON_HUMAN "
    "and AMD_ON_VOICEMAIL"
)
# For calls judged by their recording: AMD_LIVE may be on, but the call was given other TwiML.
_USE_STREAMS_HINT = "acting while a call is up needs AMD_LIVE and a call that is streamed: give it /twilio/stream.xml"


@dataclass(frozen=True, slots=True)
class DueAction:
    """A claimed action. `label`: the verdict that it was scheduled for."""

    call_sid: CallSid
    account_sid: AccountSid
    kind: ActionKind
    label: Label


@dataclass(frozen=True, slots=True)
class ClaimedActions:
    """Result of one claim: actions to request from Twilio, and actions that were refused because they are too late."""

    due: list[DueAction]
    refused: list[DueAction]


async def schedule(session: AsyncSession, call: CallLog, wanted: Mapping[Label, Action]) -> None:
    """Schedule the action that `wanted` has for the verdict of a locked call, at most once per call.

    Call it in the transaction that writes the verdict, after `refresh_call`: then an action exists exactly if its
    verdict does. A later verdict schedules nothing, with one exception: after a refused action of a recording, when
    nothing was done, a stream's verdict may still schedule one.
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

    Actions of other accounts, and actions that are not in `wanted`, are left to other workers: the settings may be
    about to change. Any worker refuses an action that is too late.
    """
    # The label that a due action was scheduled for stays on its row.
    is_wanted = tuple_(CallLog.label, CallLog.action).in_([(label, action.kind) for label, action in wanted.items()])
    is_late = CallLog.action_at < func.now() - timedelta(seconds=ACT_WITHIN_S)
    # SKIP LOCKED: two workers share the due actions, and neither waits for a callback that is changing the row.
    statement = (
        select(CallLog, is_late)
        .where(CallLog.action_state == ActionState.DUE)
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
    )


async def record_outcome(session: AsyncSession, call_sid: str, state: ActionState, note: str | None = None) -> None:
    """Write the outcome of a sent action. `SENT` with a note: Twilio's response was lost."""
    call = await lock_call(session, call_sid)
    if call.action_state != ActionState.SENT:
        return
    call.action_state, call.action_at = state, func.now()
    call.action_note = None if note is None else storable(note)
    # After a failed action the row follows the latest verdict again.
    await refresh_call(session, call)


async def _too_late_note(session: AsyncSession, call: CallLog) -> str | None:
    """Why a recording's verdict comes too late to act on; None if it does not.

    The start of the recording does not matter: one that is started in mid-call begins long after the answer.
    """
    if call.verdict_source != Source.RECORDING:
        return None
    if call.answered_at is None:
        return "when the call was answered is not known: have Twilio report `answered` to /twilio/status"
    age_s = ((await session.scalars(select(func.now()))).one() - call.answered_at).total_seconds()
    if age_s <= ACT_WITHIN_S:
        return None
    return (
        f"the call was answered {age_s:.0f} s before the verdict on its recording, more than the "
        f"{ACT_WITHIN_S:.0f} s within which it is acted on; {_USE_STREAMS_HINT}"
    )


def _call_over_note(call: CallLog) -> str:
    if call.verdict_source == Source.STREAM:
        return f"the call was over before it could be done: {call.call_status}"
    over = f"the call was over before the verdict: {call.call_status}"
    return f"{over}; a recording is only judged after it ends; {_USE_STREAMS_HINT}"


def _refuse(call: CallLog, note: str) -> None:
    call.action_state, call.action_note, call.action_at = ActionState.REFUSED, note, func.now()
