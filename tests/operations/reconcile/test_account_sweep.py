"""A sweep recovers lost callbacks and stores them like delivered ones."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from amd_service.calls.tables import Callback, CallLog
from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.telemetry import Metrics
from tests.support.deliveries import call_row, deliver, recording, recording_row, status
from tests.support.reconciliation import Make, age, answer_always, call_at_twilio, recorded, stored_call_sids
from tests.support.sids import CALL, RECORDING, SECOND_RECORDING

pytestmark = pytest.mark.anyio


async def test_a_call_without_callbacks_is_stored_and_its_recording_enqueued(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call = recorded(call_at_twilio(simulated_twilio))
    (findings,) = await make().sweep_due_accounts()
    row, audio = await call_row(database), await recording_row(database)
    assert (row.call_status, row.duration_s, row.ended_at) == ("completed", 42, call.ended_at)
    assert (row.direction, row.to_number, row.analysis_state) == ("outbound-api", call.to_number, "queued")
    assert (audio.state, audio.track, audio.source) == ("queued", "inbound", "OutboundAPI")
    assert (findings.calls_new, findings.recordings_new, findings.calls_changed) == (1, 1, 1)


@pytest.mark.parametrize("ending", ["busy", "no-answer", "failed", "canceled"])
async def test_an_unanswered_call_needs_no_recording(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, ending: str
) -> None:
    call_at_twilio(simulated_twilio, ending=ending)
    await make().sweep_due_accounts()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == (ending, "not_applicable")


async def test_a_recording_without_a_callback_is_enqueued(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio))
    await deliver(database, status("ringing"), status("completed"))
    (findings,) = await make().sweep_due_accounts()
    assert (await call_row(database)).analysis_state == "queued"
    assert (findings.calls_new, findings.recordings_new, findings.calls_changed) == (0, 1, 1)


async def test_an_end_without_a_callback_is_stored(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio, ending="busy")
    await deliver(database, status("initiated"), status("ringing"))
    (findings,) = await make().sweep_due_accounts()
    assert ((await call_row(database)).call_status, findings.calls_changed) == ("busy", 1)


async def test_a_completed_call_without_a_recording_fails_and_reopens_for_a_late_one(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio)
    await deliver(database, status("completed"))
    await age(database)
    (findings,) = await make().sweep_due_accounts()
    row = await call_row(database)
    assert (row.analysis_state, row.reason, findings.calls_changed) == ("failed", "no_recording", 1)
    await deliver(database, recording("completed"))
    assert (await call_row(database)).analysis_state == "queued"


async def test_an_absent_recording_is_the_reason_of_the_call(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio), status="absent", error_code=16101, duration_s=None)
    await deliver(database, status("completed"))
    await make().sweep_due_accounts()
    row, audio = await call_row(database), await recording_row(database)
    assert (row.analysis_state, row.reason, audio.error_code) == ("failed", "no_recording", 16101)


async def test_a_call_that_has_just_ended_is_skipped(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    ended = datetime.now(UTC) - timedelta(seconds=5)
    recorded(call_at_twilio(simulated_twilio, ago_s=5))
    await make().sweep_due_accounts()
    assert await stored_call_sids(database) == set()
    await deliver(database, status("completed", timestamp=ended))
    await age(database, seconds=3600)
    await make().sweep_due_accounts()
    assert (await call_row(database)).analysis_state == "waiting"
    # A sweep from the command line does not wait for callbacks.
    (findings,) = await make().sweep_since(ended - timedelta(hours=1))
    assert ((await call_row(database)).analysis_state, findings.recordings_new) == ("queued", 1)


async def test_a_call_in_progress_is_not_concluded_when_it_ends_later(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call = call_at_twilio(simulated_twilio, ending="in-progress", ended_at=None, duration_s=None)
    await deliver(database, status("ringing"))
    await age(database)
    await make().sweep_due_accounts()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == ("in-progress", "waiting")
    call.end("completed")
    await deliver(database, status("completed", timestamp=datetime.now(UTC)))
    assert (await call_row(database)).analysis_state == "waiting"  # the callback of its recording may still arrive


async def test_an_outdated_api_status_does_not_replace_a_callbacks(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio, ending="in-progress", ended_at=None)
    await deliver(database, status("completed"))
    await age(database)
    await make().sweep_due_accounts()
    assert (await call_row(database)).call_status == "completed"


@pytest.mark.parametrize("state", ["processing", "paused", "stopped", "in-progress"])
async def test_a_recording_that_is_not_ready_is_requested_again(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, state: str
) -> None:
    call = recorded(call_at_twilio(simulated_twilio), status=state, duration_s=None)
    await deliver(database, status("completed"))
    await age(database)
    await make().sweep_due_accounts()
    assert [(await recording_row(database)).state, (await call_row(database)).analysis_state] == ["noted", "waiting"]
    call.recordings[0].status = "completed"
    await make().sweep_due_accounts()
    assert (await call_row(database)).analysis_state == "queued"


@pytest.mark.parametrize("direction", ["inbound", "outbound-dial"])
async def test_calls_of_other_applications_are_skipped_until_they_have_a_callback(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, direction: str
) -> None:
    recorded(call_at_twilio(simulated_twilio, direction=direction))
    await make().sweep_due_accounts()
    assert await stored_call_sids(database) == set()
    await deliver(database, status("in-progress", direction=direction))
    await make().sweep_due_accounts()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == ("completed", "queued")


async def test_a_repeated_sweep_changes_nothing(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio))
    call_at_twilio(simulated_twilio, sid="CA" + "2" * 32)
    begin = datetime.now(UTC) - timedelta(hours=1)
    await make().sweep_since(begin)
    before = await everything(database)
    (findings,) = await make().sweep_since(begin)
    assert (findings.calls_asked, findings.calls_new, findings.recordings_new, findings.calls_changed) == (2, 0, 0, 0)
    assert await everything(database) == before


async def everything(database: Database) -> tuple[int | None, list[tuple[str, str, datetime]]]:
    async with database.transaction() as session:
        rows = await session.execute(select(CallLog.call_sid, CallLog.analysis_state, CallLog.updated_at))
        return await session.scalar(select(func.count(Callback.id))), sorted(
            (sid, state, at) for sid, state, at in rows
        )


async def test_a_sweep_stores_no_number_that_must_not_be_kept(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call = call_at_twilio(simulated_twilio)
    await make(phone_numbers="drop").sweep_due_accounts()
    async with database.transaction() as session:
        (kept,) = (await session.scalars(select(Callback))).all()
    assert call.to_number not in f"{kept.parameters} {kept.facts}"
    assert (await call_row(database)).to_number is None


async def test_a_call_that_twilio_no_longer_knows_fails(database: Database, make: Make) -> None:
    unrecorded = CallSid("CA" + "2" * 32)
    await deliver(database, status("completed"), recording("in-progress"), status("completed", call_sid=unrecorded))
    for sid in (CALL, unrecorded):
        await age(database, sid)
    (findings,) = await make().sweep_due_accounts()
    for sid in (CALL, unrecorded):
        row = await call_row(database, sid)
        assert (row.analysis_state, row.reason) == ("failed", "no_recording")
    assert findings.calls_changed == 2


async def test_a_deleted_recording_is_given_up_and_reopens_if_it_was_not_deleted(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio)
    await deliver(database, status("completed"), recording("in-progress"))
    await age(database)
    await make().sweep_due_accounts()
    row, audio = await call_row(database), await recording_row(database)
    assert (row.analysis_state, row.reason) == ("failed", "no_recording")
    assert (audio.state, audio.failure, audio.attempts) == ("dead", "no_recording", 0)
    assert audio.finished_at is not None
    asked = len(simulated_twilio.rest.requests)
    await make().sweep_due_accounts()
    assert [request for request in simulated_twilio.rest.requests[asked:] if CALL in request.path] == []
    await deliver(database, recording("completed"))
    assert (await recording_row(database)).state == (await call_row(database)).analysis_state == "queued"


async def test_a_deleted_recording_does_not_affect_the_others(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio))
    await deliver(
        database, status("completed"), recording("in-progress"), recording("in-progress", sid=SECOND_RECORDING)
    )
    await age(database)
    await make().sweep_due_accounts()
    assert [(await recording_row(database, sid)).state for sid in (RECORDING, SECOND_RECORDING)] == ["queued", "dead"]
    assert (await call_row(database)).analysis_state == "queued"


async def test_a_recording_is_not_given_up_while_its_call_may_be_up(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio, ending="in-progress", ended_at=None, duration_s=None)
    await deliver(database, status("ringing"), recording("in-progress"))
    await age(database)
    await make().sweep_due_accounts()
    assert (await recording_row(database)).state == "noted"


async def test_a_recording_is_not_given_up_while_a_listed_one_is_unreadable(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio)
    await deliver(database, status("completed"), recording("in-progress"))
    await age(database)
    answer_always(simulated_twilio, "/Recordings", ScriptedResponse(200, b'{"recordings": [{"sid": 7}], "page": 0}'))
    await make().sweep_due_accounts()
    assert ((await recording_row(database)).state, (await call_row(database)).analysis_state) == ("noted", "waiting")


async def test_undocumented_values_are_counted(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    metrics = Metrics()
    recorded(call_at_twilio(simulated_twilio, answered_by="cat"), source="Dictaphone")
    await make(metrics=metrics).sweep_due_accounts()
    await make(metrics=metrics).sweep_since(datetime.now(UTC) - timedelta(hours=1))
    counted = {
        name: metrics.registry.get_sample_value("amd_unknown_values_total", {"parameter": name})
        for name in ("AnsweredBy", "RecordingSource", "CallStatus")
    }
    assert counted == {"AnsweredBy": 1, "RecordingSource": 1, "CallStatus": None}
