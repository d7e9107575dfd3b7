"""Recording callbacks update the rows of the recording and of its call."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, CallSid, ConferenceSid
from tests.support.deliveries import call_row, claim, deliver, recording, recording_row, snapshot, status
from tests.support.intake import ANSWERED, COMPLETED, RECORDED
from tests.support.sids import ACCOUNT, CALL, SECOND_RECORDING

pytestmark = pytest.mark.anyio


async def test_a_completed_recording_is_enqueued(database: Database) -> None:
    await deliver(database, RECORDED)
    row = await recording_row(database)
    assert (row.state, row.source, row.channels, row.duration_s) == ("queued", "OutboundAPI", 2, 30)
    assert (row.attempts, row.locked_by, row.failure) == (0, None, None)
    assert row.queued_at is not None


async def test_a_recording_in_progress_is_noted_and_not_enqueued(database: Database) -> None:
    await deliver(database, recording("in-progress"))
    assert (await recording_row(database)).state == "noted"
    assert (await call_row(database)).analysis_state == "waiting"


async def test_a_recording_before_any_status_creates_the_call(database: Database) -> None:
    await deliver(database, RECORDED)
    call = await call_row(database)
    assert (call.call_status, call.account_sid, call.analysis_state) == (None, ACCOUNT, "queued")


async def test_an_unknown_recording_status_is_stored_and_changes_no_state(database: Database) -> None:
    await deliver(database, recording("teleported"))
    row = await recording_row(database)
    assert (row.recording_status, row.state) == ("teleported", "noted")
    await deliver(database, RECORDED, recording("teleported", error_code=7))
    row = await recording_row(database)
    assert (row.recording_status, row.state, row.error_code) == ("completed", "queued", 0)


async def test_a_recording_with_audio_is_judged_although_the_call_ended_unanswered(database: Database) -> None:
    await deliver(database, status("busy"), RECORDED)
    assert (await call_row(database)).analysis_state == "queued"


@pytest.mark.parametrize(("ending", "reason"), [("absent", "no_recording"), ("failed", "recording_failed")])
async def test_a_recording_without_audio_fails_the_call_without_a_label(
    database: Database, ending: str, reason: str
) -> None:
    await deliver(database, COMPLETED, recording(ending, error_code=16101))
    call = await call_row(database)
    assert (call.analysis_state, call.reason, call.label, call.confidence) == ("failed", reason, None, None)
    assert (await recording_row(database)).error_code == 16101


async def test_a_recording_with_audio_outranks_an_absent_recording(database: Database) -> None:
    await deliver(database, recording("absent"), recording("completed", SECOND_RECORDING))
    assert (await call_row(database)).analysis_state == "queued"


async def test_a_recording_callback_cannot_change_the_call_of_a_recording(database: Database) -> None:
    other = CallSid("CA" + "2" * 32)
    await deliver(database, recording("in-progress"), replace(RECORDED, call_sid=other))
    row = await recording_row(database)
    assert (row.call_sid, row.state) == (CALL, "noted")


async def test_a_new_recording_of_another_account_does_not_change_the_call(database: Database) -> None:
    await deliver(database, ANSWERED)
    assert await deliver(database, replace(RECORDED, account_sid=AccountSid("AC" + "b" * 32))) == [True]
    assert await claim(database) == []
    assert (await call_row(database)).analysis_state == "waiting"
    await deliver(database, RECORDED)
    assert (await recording_row(database)).account_sid == ACCOUNT


async def test_only_the_callback_of_a_conference_recording_is_stored(database: Database) -> None:
    of_a_conference = recording("completed", call_sid=None, conference_sid=ConferenceSid("CF" + "3" * 32))
    assert await deliver(database, of_a_conference, of_a_conference) == [True, False]
    async with database.transaction() as session:
        kept = (await session.scalars(select(Callback))).one()
    assert (kept.call_sid, kept.recording_sid) == (None, of_a_conference.recording_sid)
    assert kept.facts["conference_sid"] == of_a_conference.conference_sid
    left = await snapshot(database)
    assert left["call_log"] == left["recording"] == []


async def test_a_conference_recording_that_names_its_call_is_judged(database: Database) -> None:
    await deliver(database, recording("completed", source="Conference", conference_sid=ConferenceSid("CF" + "3" * 32)))
    assert (await call_row(database)).analysis_state == "queued"
