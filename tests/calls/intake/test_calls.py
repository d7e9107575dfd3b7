"""Status callbacks update the row of the call."""

from dataclasses import replace
from datetime import timedelta

import pytest

from amd_service.database.pool import Database
from amd_service.domain import AccountSid
from tests.support.deliveries import BEGAN, call_row, deliver, recording, recording_row, status
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, PARENT, RECORDED, RINGING

pytestmark = pytest.mark.anyio


async def test_callbacks_in_order_fill_the_calls_row(database: Database) -> None:
    assert await deliver(database, INITIATED, RINGING, ANSWERED, COMPLETED) == [True] * 4
    call = await call_row(database)
    assert (call.call_status, call.direction, call.duration_s) == ("completed", "outbound-api", 42)
    assert (call.from_number, call.to_number) == ("+15005550006", "+15005550001")
    assert call.started_at == BEGAN
    assert call.answered_at == BEGAN + timedelta(seconds=10)
    assert call.ended_at == BEGAN + timedelta(seconds=15)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", 2900)
    assert (call.analysis_state, call.label) == ("waiting", None)


async def test_absent_parameters_never_overwrite_known_values(database: Database) -> None:
    await deliver(database, INITIATED, replace(COMPLETED, direction=None, timestamp=None))
    call = await call_row(database)
    assert (call.direction, call.from_number, call.started_at) == ("outbound-api", "+15005550006", BEGAN)


@pytest.mark.parametrize("ending", ["busy", "no-answer", "canceled", "failed"])
async def test_an_unanswered_call_is_not_applicable(database: Database, ending: str) -> None:
    await deliver(database, INITIATED, status(ending))
    assert (await call_row(database)).analysis_state == "not_applicable"
    await deliver(database, recording("absent", error_code=16101))
    assert (await call_row(database)).analysis_state == "not_applicable"


async def test_a_callback_of_another_account_changes_nothing(database: Database) -> None:
    await deliver(database, RINGING, recording("in-progress"))
    other = AccountSid("AC" + "b" * 32)
    await deliver(database, replace(COMPLETED, account_sid=other), replace(RECORDED, account_sid=other))
    assert (await call_row(database)).call_status == "ringing"
    assert (await recording_row(database)).state == "noted"


@pytest.mark.parametrize("call_status", ["initiated", "ringing", "in-progress", "teleported"])
async def test_a_dialled_leg_waits_until_it_has_ended(database: Database, call_status: str) -> None:
    await deliver(database, status(call_status, 1, parent_call_sid=PARENT))
    assert (await call_row(database)).analysis_state == "waiting"


@pytest.mark.parametrize("ending", ["completed", "busy", "no-answer", "canceled", "failed"])
async def test_a_dialled_leg_that_has_ended_is_not_applicable(database: Database, ending: str) -> None:
    await deliver(database, status(ending, parent_call_sid=PARENT), RINGING)
    call = await call_row(database)
    assert (call.analysis_state, call.parent_call_sid, call.label) == ("not_applicable", PARENT, None)


async def test_a_dialled_leg_that_has_a_recording_is_judged(database: Database) -> None:
    await deliver(database, status("completed", parent_call_sid=PARENT), RECORDED)
    assert (await call_row(database)).analysis_state == "queued"
