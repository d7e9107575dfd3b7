"""What is to be done with a call once its verdict stands: ordered with the verdict, taken up once, and never twice.

An action is written as `sent` and committed before Twilio is asked. Whoever dies in between leaves it so: it may have
been done, and doing it twice would hang up on, or redirect, whoever is on the call by then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, tuple_
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

# A worker takes an action up within milliseconds. What waited longer waited because none was there, and whoever is on
# the call by now has long been talking: cutting that off helps nobody. The same goes for a recording that ended so long
# after the answer; a live verdict stands within seconds of it.
ACT_WITHIN_S = 60.0

_NOBODY = (
    f"no worker took it up within {ACT_WITHIN_S:.0f} s: one must run that has its account's credentials, AMD_ON_HUMAN "
    "and AMD_ON_VOICEMAIL"
)
# Said of a call whose recording was judged: AMD_LIVE may be on, and the call was given other TwiML.
_IN_TIME = "acting while a call is up needs AMD_LIVE and a call that is streamed: give it /twilio/stream.xml"


@dataclass(frozen=True, slots=True)
class DueAction:
    """An action that was taken up. `label`: the verdict it was ordered for."""

    call_sid: CallSid
    account_sid: AccountSid
    kind: ActionKind
    label: Label


@dataclass(frozen=True, slots=True)
class ClaimedActions:
    """What one look brought: actions to ask Twilio for, and those that came too late and were refused."""

    due: list[DueAction]
    refused: list[DueAction]


async def order(session: AsyncSession, call: CallLog, wanted: Mapping[Label, Action]) -> None:
    """Note what `wanted` says of the verdict on a locked call, once in the life of the call.

    Belongs in the transaction that writes the verdict, after `refresh_call`: an action is ordered exactly when the
    verdict is there. A verdict that comes later orders nothing more, whatever it says; only where a recording's was
    refused, and so nothing was done, a stream's may still.
    """
    action = None if call.label is None else wanted.get(Label(call.label))
    still_open = call.action is None or (
        call.action_state == ActionState.REFUSED and call.verdict_source == Source.STREAM
    )
    if action is None or not still_open:
        return
    note = _over_note(call) if call.call_status in TERMINAL_CALL_STATUSES else await _late_note(session, call)
    call.action = action.kind
    if note is None:
        call.action_state, call.action_note, call.action_at = ActionState.DUE, None, func.now()
    else:
        _refuse(call, note)
    await session.flush()


async def claim_due(
    session: AsyncSession, accounts: Collection[AccountSid], wanted: Mapping[Label, Action], limit: int
) -> ClaimedActions:
    """Mark up to `limit` due actions as `sent`. To be committed before Twilio is asked for any of them.

    Those of other accounts, or other than `wanted`, are left to other workers: the settings may just be rolled out.
    What is late, anybody refuses.
    """
    # While an action is due, the label it was ordered for stays on its row.
    is_wanted = tuple_(CallLog.label, CallLog.action).in_([(label, action.kind) for label, action in wanted.items()])
    # SKIP LOCKED: two workers share what is due, and neither waits for a callback that is changing the row.
    statement = (
        select(CallLog, _is_late())
        .where(CallLog.action_state == ActionState.DUE)
        .where((CallLog.account_sid.in_(accounts) & is_wanted) | _is_late())
        .order_by(CallLog.verdict_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )
    taken = ClaimedActions([], [])
    for call, is_late in (await session.execute(statement)).all():
        if call.call_status in TERMINAL_CALL_STATUSES:
            _refuse(call, _over_note(call))
        elif is_late:
            _refuse(call, _NOBODY)
        else:
            call.action_state, call.action_at = ActionState.SENT, func.now()
        (taken.due if call.action_state == ActionState.SENT else taken.refused).append(_due(call))
        if call.action_state == ActionState.REFUSED:
            await refresh_call(session, call)
    await session.flush()
    return taken


async def close(session: AsyncSession, call_sid: str, state: ActionState, note: str | None = None) -> None:
    """Write how an action that was sent came out. `SENT` with a note: its answer was lost."""
    call = await lock_call(session, call_sid)
    if call.action_state != ActionState.SENT:
        return
    call.action_state, call.action_at = state, func.now()
    call.action_note = None if note is None else storable(note)
    # Where nothing was done, the row says again what was heard last.
    await refresh_call(session, call)


def _is_late() -> ColumnElement[bool]:
    return CallLog.action_at < func.now() - timedelta(seconds=ACT_WITHIN_S)


async def _late_note(session: AsyncSession, call: CallLog) -> str | None:
    """Why a verdict on a recording comes too late to act on, None where it does not.

    When the recording began says nothing: one that is started in mid-call begins long after the answer.
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
        f"{ACT_WITHIN_S:.0f} s within which it is acted on; {_IN_TIME}"
    )


def _refuse(call: CallLog, note: str) -> None:
    call.action_state, call.action_note, call.action_at = ActionState.REFUSED, note, func.now()


def _over_note(call: CallLog) -> str:
    if call.verdict_source == Source.STREAM:
        return f"the call was over before it could be done: {call.call_status}"
    over = f"the call was over before the verdict: {call.call_status}"
    return f"{over}; a recording is only judged after it ends; {_IN_TIME}"


def _due(call: CallLog) -> DueAction:
    return DueAction(
        call_sid=CallSid(call.call_sid),
        account_sid=AccountSid(call.account_sid),
        kind=ActionKind(call.action or ""),
        label=Label(call.label or ""),
    )
