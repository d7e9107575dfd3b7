"""What Twilio's own detection says of a call."""

from itertools import permutations

import pytest

from amd_service.database.pool import Database
from amd_service.domain import AccountSid, CallSid
from tests.support.deliveries import amd, call_row, deliver, status
from tests.support.intake import ANSWERED, RINGING

pytestmark = pytest.mark.anyio


async def test_an_asynchronous_result_has_the_last_word_of_twilios_opinion(database: Database) -> None:
    await deliver(database, amd("machine_end_beep", 7900), ANSWERED, amd("machine_start", 4100))
    call = await call_row(database)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("machine_end_beep", 7900)
    assert (call.call_status, call.analysis_state) == ("in-progress", "waiting")


async def test_how_long_another_answer_took_is_not_said_of_this_one(database: Database) -> None:
    for number, order in enumerate(permutations(range(2))):
        sid = CallSid(f"CA{number:032x}")
        machine = status("in-progress", call_sid=sid, answered_by="machine_start", machine_detection_ms=4000)
        told = (machine, amd("human", call_sid=sid))
        await deliver(database, *(told[position] for position in order))
        call = await call_row(database, sid)
        assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", None)


async def test_the_same_answer_told_without_its_time_keeps_it(database: Database) -> None:
    await deliver(database, ANSWERED, amd("human", None))
    call = await call_row(database)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", 2900)


async def test_an_amd_result_before_any_status_makes_the_call(database: Database) -> None:
    assert await deliver(database, amd("human", 2900), amd("human", 2900)) == [True, False]
    call = await call_row(database)
    assert (call.twilio_answered_by, call.call_status, call.analysis_state) == ("human", None, "waiting")


async def test_an_amd_result_of_another_account_moves_nothing(database: Database) -> None:
    await deliver(database, RINGING, amd("fax", account_sid=AccountSid("AC" + "b" * 32)))
    assert (await call_row(database)).twilio_answered_by is None
