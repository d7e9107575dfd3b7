"""Actions are scheduled with the verdict and claimed once, and their outcome is recorded."""

import asyncio
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, update

from amd_service.calls import actions, queue
from amd_service.calls.actions import ACT_WITHIN_S, ClaimedActions
from amd_service.calls.analysis import lock_call
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, Action, ActionKind, ActionState, CallSid, Label, RecordingSid, StatusCallback
from tests.support.deliveries import call_row, claim, deliver, recording, settle, status
from tests.support.sids import ACCOUNT, CALL, SECOND_RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio

HANG_UP = {Label.VOICEMAIL: Action(ActionKind.HANG_UP)}
REDIRECT = {Label.HUMAN: Action(ActionKind.REDIRECT, "https://user:secret@example.org/agent")}
BOTH = HANG_UP | REDIRECT


def answered(seconds_ago: float = 5, **fields: Any) -> StatusCallback:
    return status("in-progress", timestamp=datetime.now(UTC) - timedelta(seconds=seconds_ago), **fields)


async def judged(
    database: Database,
    label: Label = Label.VOICEMAIL,
    *,
    ended: bool = False,
    answer: StatusCallback | None = None,
) -> CallLog:
    """A call with a verdict. The settings have actions for both labels. `ended`: the call has ended."""
    await deliver(database, answer or answered(), *([status("completed")] if ended else []))
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(label), BOTH)
    return await call_row(database)


async def claim_actions(
    database: Database,
    limit: int = 10,
    *,
    accounts: Collection[AccountSid] = (ACCOUNT,),
    wanted: Mapping[Label, Action] = BOTH,
) -> ClaimedActions:
    async with database.transaction() as session:
        return await actions.claim_due(session, accounts, wanted, limit)


async def record_outcome(database: Database, state: ActionState, note: str | None = None) -> None:
    async with database.transaction() as session:
        await actions.record_outcome(session, CALL, state, note)


async def schedule_again(database: Database, **columns: Any) -> None:
    """Schedule as if another verdict had been written with these values."""
    async with database.transaction() as session:
        call = await lock_call(session, CALL)
        for column, value in columns.items():
            setattr(call, column, value)
        await actions.schedule(session, call, BOTH)


async def make_older(database: Database, seconds: float) -> None:
    async with database.transaction() as session:
        older = update(CallLog).values(action_at=func.now() - timedelta(seconds=seconds))
        await session.execute(older.execution_options(synchronize_session=False))


async def test_a_verdict_on_a_call_in_progress_schedules_its_action(database: Database) -> None:
    call = await judged(database)
    assert (call.action, call.action_state, call.action_note) == ("hang_up", "due", None)
    assert call.action_at is not None


async def test_the_url_of_a_redirect_is_stored_nowhere(database: Database) -> None:
    call = await judged(database, Label.HUMAN)
    assert (call.action, call.action_state) == ("redirect", "due")
    assert "secret" not in repr(vars(call))


async def test_an_action_on_an_ended_call_is_refused_with_a_note(database: Database) -> None:
    call = await judged(database, ended=True)
    assert (call.action, call.action_state) == ("hang_up", "refused")
    assert call.action_note is not None
    assert call.action_note.startswith("the call ended before the verdict: completed")
    assert call.action_note.endswith("set AMD_LIVE and use /twilio/stream.xml as the TwiML of the call")
    assert await claim_actions(database) == ClaimedActions([], [])


async def test_the_note_on_a_late_live_verdict_does_not_suggest_live_streams(database: Database) -> None:
    await judged(database, Label.UNDECIDED, ended=True)
    await schedule_again(database, label="voicemail", reason="confident", verdict_source="stream")
    assert (await call_row(database)).action_note == "the call ended before the action was requested: completed"


async def test_an_action_on_a_late_recordings_verdict_is_refused_with_a_note(database: Database) -> None:
    call = await judged(database, Label.HUMAN, answer=answered(20 * 60))
    assert (call.label, call.action, call.action_state) == ("human", "redirect", "refused")
    note = call.action_note or ""
    assert re.match(
        r"the verdict on the recording came 12\d\d s after the answer of the call, .*AMD_LIVE.*stream\.xml", note
    )
    assert await claim_actions(database) == ClaimedActions([], [])


async def test_a_recording_judged_soon_after_the_answer_schedules_an_action(database: Database) -> None:
    assert (await judged(database, answer=answered(ACT_WITHIN_S - 10))).action_state == "due"


@pytest.mark.parametrize("answer", [status("ringing"), status("in-progress", timestamp=None)], ids=["none", "no time"])
async def test_an_action_is_refused_if_the_time_of_the_answer_is_not_known(
    database: Database, answer: StatusCallback
) -> None:
    # The start of the recording must not count as the answer: a recording can start in the middle of a long call.
    await deliver(database, recording("in-progress", started_at=datetime.now(UTC)))
    call = await judged(database, answer=answer)
    assert call.action_state == "refused"
    assert "let Twilio report the event `answered`" in (call.action_note or "")


@pytest.mark.parametrize("answer", [status("ringing"), answered(20 * 60)], ids=["unknown", "long ago"])
async def test_a_live_verdict_schedules_an_action_at_any_time_after_the_answer(
    database: Database, answer: StatusCallback
) -> None:
    await judged(database, Label.UNDECIDED, answer=answer)
    await schedule_again(database, label="voicemail", reason="confident", verdict_source="stream")
    assert (await call_row(database)).action_state == "due"


@pytest.mark.parametrize("wanted", [{}, REDIRECT])
async def test_a_label_without_an_action_schedules_nothing(database: Database, wanted: dict[Label, Action]) -> None:
    await deliver(database, answered(), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.VOICEMAIL), wanted)
    call = await call_row(database)
    assert (call.label, call.action, call.action_state) == ("voicemail", None, None)


async def test_an_undecided_call_has_no_action(database: Database) -> None:
    assert (await judged(database, Label.UNDECIDED)).action is None


async def test_the_action_and_the_verdict_are_written_in_one_transaction(database: Database) -> None:
    await deliver(database, answered(), recording("completed"))
    (job,) = await claim(database)

    async def fail_after_settling() -> None:
        async with database.transaction() as session:
            await queue.settle(session, job, verdict(Label.VOICEMAIL), BOTH)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_after_settling()
    call = await call_row(database)
    assert (call.label, call.action) == (None, None)


@pytest.mark.parametrize("state", [None, ActionState.DONE, ActionState.FAILED, ActionState.SENT])
async def test_a_later_verdict_schedules_no_second_action(database: Database, state: ActionState | None) -> None:
    await judged(database, Label.UNDECIDED)
    await deliver(database, recording("completed", SECOND_RECORDING))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.VOICEMAIL), BOTH)
    if state is not None:
        await claim_actions(database)
        await record_outcome(database, state)
    before = await call_row(database)
    assert before.action == "hang_up"
    # The first recording is judged again as human. The earliest recording decides, so the call's verdict changes.
    await schedule_again(database, label="human")
    after = await call_row(database)
    assert (after.label, after.action, after.action_state) == ("human", "hang_up", before.action_state)


async def test_a_claimed_action_is_marked_as_sent_and_never_claimed_again(database: Database) -> None:
    await judged(database)
    (due,) = (await claim_actions(database)).due
    assert (due.call_sid, due.account_sid, due.kind, due.label) == (CALL, ACCOUNT, ActionKind.HANG_UP, Label.VOICEMAIL)
    assert (await call_row(database)).action_state == "sent"
    assert await claim_actions(database) == ClaimedActions([], [])


async def test_two_workers_claim_different_actions(database: Database) -> None:
    sids = [CallSid(f"CA{number:032x}") for number in range(6)]
    for number, sid in enumerate(sids):
        await deliver(database, answered(call_sid=sid))
        await deliver(database, recording("completed", RecordingSid(f"RE{number:032x}"), call_sid=sid))
    for job in await claim(database):
        await settle(database, job, verdict(Label.VOICEMAIL), BOTH)
    first, second = await asyncio.gather(claim_actions(database, 4), claim_actions(database, 4))
    third = await claim_actions(database)
    taken = [due.call_sid for due in (*first.due, *second.due, *third.due)]
    assert sorted(taken) == sids


async def test_a_locked_row_is_skipped(database: Database) -> None:
    await judged(database)
    async with database.transaction() as session:
        assert len((await actions.claim_due(session, [ACCOUNT], BOTH, 1)).due) == 1
        assert await claim_actions(database) == ClaimedActions([], [])


async def test_an_action_that_waited_too_long_is_refused(database: Database) -> None:
    await judged(database)
    await make_older(database, ACT_WITHIN_S + 1)
    claimed = await claim_actions(database)
    assert (claimed.due, [refused.call_sid for refused in claimed.refused]) == ([], [CALL])
    call = await call_row(database)
    assert call.action_state == "refused"
    assert (call.action_note or "").startswith("no worker claimed the action within 60 s: ")


@pytest.mark.parametrize(
    "own",
    [{"accounts": [AccountSid("AC" + "b" * 32)]}, {"accounts": []}, {"wanted": REDIRECT}, {"wanted": {}}],
    ids=["of another account", "of any account", "for another label", "for any label"],
)
async def test_actions_of_other_workers_are_skipped_until_they_are_late(
    database: Database, own: dict[str, Any]
) -> None:
    await judged(database)
    assert await claim_actions(database, **own) == ClaimedActions([], [])
    await make_older(database, ACT_WITHIN_S + 1)
    assert [refused.call_sid for refused in (await claim_actions(database, **own)).refused] == [CALL]


async def test_an_action_that_waited_a_short_time_is_still_claimed(database: Database) -> None:
    await judged(database)
    await make_older(database, ACT_WITHIN_S - 10)
    assert len((await claim_actions(database)).due) == 1


async def test_an_action_is_refused_when_claimed_if_the_call_has_ended_meanwhile(database: Database) -> None:
    await judged(database)
    await deliver(database, status("completed"))
    assert len((await claim_actions(database)).refused) == 1
    assert (await call_row(database)).action_state == "refused"


async def test_an_outcome_is_recorded_for_sent_actions_only(database: Database) -> None:
    await judged(database)
    await record_outcome(database, ActionState.DONE)
    assert (await call_row(database)).action_state == "due"
    await claim_actions(database)
    await record_outcome(database, ActionState.REFUSED, "over\0")
    await record_outcome(database, ActionState.DONE)
    call = await call_row(database)
    assert (call.action_state, call.action_note) == ("refused", "over\ufffd")
