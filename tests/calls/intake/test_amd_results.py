"""Results of Twilio's own detection."""

from itertools import permutations

import pytest

from amd_service.database.pool import Database
from amd_service.domain import AccountSid, CallSid
from tests.support.deliveries import amd, call_row, deliver, status
from tests.support.intake import ANSWERED, RINGING

pytestmark = pytest.mark.anyio


async def test_an_asynchronous_result_overrides_the_status_callbacks(database: Database) -> None:
    await deliver(database, amd("machine_end_beep", 7900), ANSWERED, amd("machine_start", 4100))
    call = await call_row(database)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("machine_end_beep", 7900)
    assert (call.call_status, call.analysis_state) == ("in-progress", "waiting")


async def test_the_duration_of_another_result_is_not_kept(database: Database) -> None:
    for number, order in enumerate(permutations(range(2))):
        sid = CallSid(f"CA{number:032x}")
        machine = status("in-progress", call_sid=sid, answered_by="machine_start", machine_detection_ms=4000)
        told = (machine, amd("human", call_sid=sid))
        await deliver(database, *(told[position] for position in order))
        call = await call_row(database, sid)
        assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", None)


async def test_a_repeated_result_without_a_duration_keeps_the_known_duration(database: Database) -> None:
    await deliver(database, ANSWERED, amd("human", None))
    call = await call_row(database)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", 2900)


async def test_an_amd_result_before_any_status_creates_the_call(database: Database) -> None:
    assert await deliver(database, amd("human", 2900), amd("human", 2900)) == [True, False]
    call = await call_row(database)
    assert (call.twilio_answered_by, call.call_status, call.analysis_state) == ("human", None, "waiting")


async def test_an_amd_result_of_another_account_changes_nothing(database: Database) -> None:
    await deliver(database, RINGING, amd("fax", account_sid=AccountSid("AC" + "b" * 32)))
    assert (await call_row(database)).twilio_answered_by is None
