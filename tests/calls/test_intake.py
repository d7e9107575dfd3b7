"""Callbacks → rows."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from amd_service.calls import intake
from amd_service.calls.database import Database
from amd_service.calls.privacy import KEEP
from amd_service.calls.tables import Callback
from amd_service.domain import AccountSid, CallSid, ConferenceSid, RawCallback
from tests.calls.deliveries import (
    ACCOUNT,
    BEGAN,
    CALL,
    SECOND,
    Delivery,
    amd,
    call_row,
    deliver,
    recording,
    recording_row,
    snapshot,
    status,
)
from tests.conftest import empty

pytestmark = pytest.mark.anyio

INITIATED = status("initiated", from_number="+15005550006", to_number="+15005550001")
RINGING = status("ringing")
ANSWERED = status("in-progress", answered_by="human", machine_detection_ms=2900)
COMPLETED = status("completed", duration_s=42)
RECORDED = recording("completed", duration_s=30, channels=2, error_code=0)
PARENT = CallSid("CA" + "7" * 32)


async def test_a_call_told_in_order_fills_its_row(database: Database) -> None:
    assert await deliver(database, INITIATED, RINGING, ANSWERED, COMPLETED) == [True] * 4
    call = await call_row(database)
    assert (call.call_status, call.direction, call.duration_s) == ("completed", "outbound-api", 42)
    assert (call.from_number, call.to_number) == ("+15005550006", "+15005550001")
    assert call.started_at == BEGAN
    assert call.answered_at == BEGAN + timedelta(seconds=10)
    assert call.ended_at == BEGAN + timedelta(seconds=15)
    assert (call.twilio_answered_by, call.twilio_amd_ms) == ("human", 2900)
    assert (call.analysis_state, call.label) == ("waiting", None)


async def test_a_duplicate_changes_nothing_and_says_so(database: Database) -> None:
    await deliver(database, ANSWERED)
    before = await call_row(database)
    assert await deliver(database, ANSWERED) == [False]
    assert (await call_row(database)).updated_at == before.updated_at
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Callback)) == 1


def test_the_fingerprint_ignores_the_order_of_parameters_and_nothing_else() -> None:
    one = intake.fingerprint(RawCallback("status", (("A", "1"), ("B", "2"), ("B", "3"))))
    assert one == intake.fingerprint(RawCallback("status", (("B", "2"), ("B", "3"), ("A", "1")), "another token"))
    assert one != intake.fingerprint(RawCallback("recording", (("A", "1"), ("B", "2"), ("B", "3"))))
    assert one != intake.fingerprint(RawCallback("status", (("A", "1"), ("B", "2"))))
    assert one != intake.fingerprint(RawCallback("status", (("A", "12"), ("B", ""), ("B", "3"))))


async def test_two_deliveries_at_once_leave_one_callback(database: Database) -> None:
    results = await asyncio.gather(*(deliver(database, RECORDED) for _ in range(4)))
    assert sorted(results) == [[False], [False], [False], [True]]


async def test_callbacks_of_one_call_at_once_end_as_in_order(database: Database) -> None:
    everything = (INITIATED, RINGING, ANSWERED, COMPLETED, RECORDED, recording("in-progress"))
    await asyncio.gather(*(deliver(database, one) for one in everything))
    at_once = await snapshot(database)
    await empty(database)
    await deliver(database, *everything)
    assert at_once == await snapshot(database)


async def test_late_ringing_does_not_reopen_a_completed_call(database: Database) -> None:
    await deliver(database, COMPLETED, RINGING, status("in-progress", sequence=9))
    assert (await call_row(database)).call_status == "completed"


async def test_the_first_ending_stays(database: Database) -> None:
    await deliver(database, COMPLETED, status("failed", sequence=7))
    assert (await call_row(database)).call_status == "completed"


async def test_without_sequence_numbers_the_state_decides(database: Database) -> None:
    answered = replace(ANSWERED, sequence_number=None)
    await deliver(database, answered, replace(RINGING, sequence_number=None))
    assert (await call_row(database)).call_status == "in-progress"


async def test_no_news_never_blanks_what_is_known(database: Database) -> None:
    await deliver(database, INITIATED, replace(COMPLETED, direction=None, timestamp=None))
    call = await call_row(database)
    assert (call.direction, call.from_number, call.started_at) == ("outbound-api", "+15005550006", BEGAN)


async def test_an_unknown_status_is_kept_and_breaks_no_order(database: Database) -> None:
    await deliver(database, replace(RINGING, call_status="teleported", sequence_number=None), RINGING)
    assert (await call_row(database)).call_status == "ringing"
    await deliver(database, replace(RINGING, call_status="teleported", sequence_number=2), COMPLETED)
    assert (await call_row(database)).call_status == "completed"


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


async def test_a_conferences_recording_is_kept_and_goes_no_further(database: Database) -> None:
    of_a_conference = recording("completed", call_sid=None, conference_sid=ConferenceSid("CF" + "3" * 32))
    assert await deliver(database, of_a_conference, of_a_conference) == [True, False]
    async with database.transaction() as session:
        kept = (await session.scalars(select(Callback))).one()
    assert (kept.call_sid, kept.recording_sid) == (None, of_a_conference.recording_sid)
    assert kept.facts["conference_sid"] == of_a_conference.conference_sid
    left = await snapshot(database)
    assert left["call_log"] == left["recording"] == []


async def test_a_conferences_recording_that_names_its_call_is_judged(database: Database) -> None:
    await deliver(database, recording("completed", source="Conference", conference_sid=ConferenceSid("CF" + "3" * 32)))
    assert (await call_row(database)).analysis_state == "queued"


@pytest.mark.parametrize("call_status", ["initiated", "ringing", "in-progress", "teleported"])
async def test_a_dialled_leg_waits_until_it_has_ended(database: Database, call_status: str) -> None:
    await deliver(database, status(call_status, 1, parent_call_sid=PARENT))
    assert (await call_row(database)).analysis_state == "waiting"


@pytest.mark.parametrize("ending", ["completed", "busy", "no-answer", "canceled", "failed"])
async def test_a_dialled_leg_that_has_ended_leaves_the_verdict_to_its_parent(database: Database, ending: str) -> None:
    await deliver(database, status(ending, parent_call_sid=PARENT), RINGING)
    call = await call_row(database)
    assert (call.analysis_state, call.parent_call_sid, call.label) == ("not_applicable", PARENT, None)


async def test_a_dialled_leg_with_a_recording_of_its_own_is_judged(database: Database) -> None:
    await deliver(database, status("completed", parent_call_sid=PARENT), RECORDED)
    assert (await call_row(database)).analysis_state == "queued"


async def test_a_recording_status_nobody_knows_is_kept_and_moves_nothing(database: Database) -> None:
    await deliver(database, recording("teleported"))
    row = await recording_row(database)
    assert (row.recording_status, row.state) == ("teleported", "noted")
    await deliver(database, RECORDED, recording("teleported", error_code=7))
    row = await recording_row(database)
    assert (row.recording_status, row.state, row.error_code) == ("completed", "queued", 0)


@pytest.mark.parametrize("ending", ["busy", "no-answer", "canceled", "failed"])
async def test_a_call_nobody_answered_has_nothing_to_analyse(database: Database, ending: str) -> None:
    await deliver(database, INITIATED, status(ending))
    assert (await call_row(database)).analysis_state == "not_applicable"
    await deliver(database, recording("absent", error_code=16101))
    assert (await call_row(database)).analysis_state == "not_applicable"


async def test_a_recording_with_audio_wins_over_an_unanswered_ending(database: Database) -> None:
    await deliver(database, status("busy"), RECORDED)
    assert (await call_row(database)).analysis_state == "queued"


async def test_a_recording_before_any_status_makes_the_call(database: Database) -> None:
    await deliver(database, RECORDED)
    call = await call_row(database)
    assert (call.call_status, call.account_sid, call.analysis_state) == (None, ACCOUNT, "queued")


async def test_a_completed_recording_is_put_up_for_work(database: Database) -> None:
    await deliver(database, RECORDED)
    row = await recording_row(database)
    assert (row.state, row.source, row.channels, row.duration_s) == ("queued", "OutboundAPI", 2, 30)
    assert (row.attempts, row.locked_by, row.failure) == (0, None, None)
    assert row.queued_at is not None


async def test_a_recording_in_progress_is_only_noted(database: Database) -> None:
    await deliver(database, recording("in-progress"))
    assert (await recording_row(database)).state == "noted"
    assert (await call_row(database)).analysis_state == "waiting"


@pytest.mark.parametrize(("ending", "reason"), [("absent", "no_recording"), ("failed", "recording_failed")])
async def test_a_recording_without_audio_fails_the_call_without_a_label(
    database: Database, ending: str, reason: str
) -> None:
    await deliver(database, COMPLETED, recording(ending, error_code=16101))
    call = await call_row(database)
    assert (call.analysis_state, call.reason, call.label, call.confidence) == ("failed", reason, None, None)
    assert (await recording_row(database)).error_code == 16101


@pytest.mark.parametrize("order", [1, -1])
async def test_completed_stays_whenever_absent_comes(database: Database, order: int) -> None:
    await deliver(database, *[RECORDED, recording("absent")][::order])
    row = await recording_row(database)
    assert (row.recording_status, row.state, row.failure) == ("completed", "queued", None)
    assert (await call_row(database)).analysis_state == "queued"


async def test_another_recording_with_audio_outlives_an_absent_one(database: Database) -> None:
    await deliver(database, recording("absent"), recording("completed", SECOND))
    assert (await call_row(database)).analysis_state == "queued"


async def test_a_callback_of_another_account_moves_nothing(database: Database) -> None:
    await deliver(database, RINGING, recording("in-progress"))
    other = AccountSid("AC" + "b" * 32)
    await deliver(database, replace(COMPLETED, account_sid=other), replace(RECORDED, account_sid=other))
    assert (await call_row(database)).call_status == "ringing"
    assert (await recording_row(database)).state == "noted"


async def test_a_recording_stays_with_its_call(database: Database) -> None:
    other = CallSid("CA" + "2" * 32)
    await deliver(database, recording("in-progress"), replace(RECORDED, call_sid=other))
    row = await recording_row(database)
    assert (row.call_sid, row.state) == (CALL, "noted")


async def test_what_postgres_cannot_hold_is_replaced(database: Database) -> None:
    strange = replace(INITIATED, from_number="a\0b\ud800", duration_s=2**40)
    async with database.transaction() as session:
        assert await intake.take_status(session, RawCallback("status", (("From", "a\0b\ud800"),), "\0"), strange, KEEP)
    call = await call_row(database)
    assert (call.from_number, call.duration_s) == ("a\ufffdb\ufffd", None)


async def test_the_raw_callback_is_kept_as_it_came(database: Database) -> None:
    parameters = (("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "answered"), ("Empty", ""))
    async with database.transaction() as session:
        await intake.take_status(session, RawCallback("status", parameters, "token"), RINGING, KEEP)
    async with database.transaction() as session:
        kept = (await session.scalars(select(Callback))).one()
    assert kept.parameters == [list(pair) for pair in parameters]
    assert (kept.route, kept.call_sid, kept.idempotency_token) == ("status", CALL, "token")


CALLS: tuple[tuple[Delivery, ...], ...] = (
    (INITIATED, RINGING, ANSWERED, COMPLETED, recording("in-progress"), RECORDED),
    (INITIATED, RINGING, ANSWERED, COMPLETED, RECORDED, recording("in-progress", SECOND), recording("absent", SECOND)),
    (INITIATED, COMPLETED, recording("absent"), recording("failed"), recording("completed", SECOND)),
    (INITIATED, RINGING, status("busy", sequence=2), recording("absent", error_code=16101)),
    (INITIATED, RINGING, status("no-answer", sequence=2), recording("in-progress"), recording("failed")),
    (RINGING, status("busy", sequence=2), status("failed", sequence=2), recording("completed"), recording("absent")),
    (
        replace(INITIATED, sequence_number=None, timestamp=None),
        replace(ANSWERED, sequence_number=None, direction="outbound-dial"),
        replace(RINGING, call_status="teleported"),
        COMPLETED,
        replace(COMPLETED, duration_s=43, answered_by="unknown"),
    ),
    (INITIATED, ANSWERED, amd("machine_start", 4100), amd("machine_end_beep", 7900), amd("unknown"), COMPLETED),
    (amd("fax"), replace(ANSWERED, answered_by=None), replace(COMPLETED, parent_call_sid=PARENT)),
)


@pytest.fixture(scope="module")
def in_order() -> dict[int, dict[str, list[dict[str, Any]]]]:
    """Rows after each of CALLS delivered once and in order, filled as they are needed."""
    return {}


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[Delivery]]:
    """Which of CALLS, and its callbacks shuffled, some of them several times."""
    number = draw(st.integers(0, len(CALLS) - 1))
    repeated = draw(st.lists(st.sampled_from(CALLS[number]), max_size=3))
    return number, draw(st.permutations([*CALLS[number], *repeated]))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=deliveries())
async def test_any_order_and_any_repetition_end_in_the_same_rows(
    database: Database, in_order: dict[int, dict[str, list[dict[str, Any]]]], drawn: tuple[int, list[Delivery]]
) -> None:
    number, shuffled = drawn
    if number not in in_order:
        in_order[number] = await _rows_after(database, CALLS[number])
    assert await _rows_after(database, shuffled) == in_order[number]


async def _rows_after(database: Database, deliveries: Any) -> dict[str, list[dict[str, Any]]]:
    await empty(database)
    await deliver(database, *deliveries)
    return await snapshot(database)
