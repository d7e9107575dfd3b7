"""Callbacks are stored once, in any order, and lead to the right state."""

import asyncio
from time import perf_counter

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import Job, Verdict
from amd_service.simulator.twilio.media_host import NOT_FOUND, MediaFile
from tests.support.app import STATUS, TOKEN, open_app
from tests.support.receiver import HELLO, MEDIA_PATH, Receiver, receiving
from tests.support.sids import ACCOUNT, CALL, RECORDING
from tests.support.verdicts import HUMAN
from tests.support.workers import make_worker

pytestmark = pytest.mark.anyio

START_TIME, START_TIME_ISO = "Wed, 02 Sep 2026 10:15:30 +0000", "2026-09-02T10:15:30+00:00"


async def test_the_answer_is_204_after_the_write_and_before_any_inference(database: Database) -> None:
    without_model = open_app(database)  # the detector is not started
    recorded = [
        ("AccountSid", ACCOUNT),
        ("CallSid", CALL),
        ("RecordingSid", RECORDING),
        ("RecordingStatus", "completed"),
    ]
    answer = await without_model.callback("/twilio/recording", recorded)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    another = Database(database.url)
    async with another.transaction() as session:
        assert await session.scalar(select(Callback.recording_sid)) == RECORDING
    await another.dispose()
    call = (await without_model.client.get(f"/api/calls/{CALL}")).json()
    assert (call["analysis_state"], call["recordings"][0]["state"]) == ("queued", "queued")
    took_s = await _slowest_answer_beside_a_stalled_model(database)
    assert took_s < 10  # milliseconds on an idle machine; Twilio's timeout is 15 s, and the model never returns


async def _slowest_answer_beside_a_stalled_model(database: Database) -> float:
    """Return the slowest of twenty response times, in seconds, while a worker of this process judges a recording."""
    judging, enough = asyncio.Event(), asyncio.Event()

    async def stall(_job: Job) -> Verdict:
        judging.set()
        await enough.wait()
        return HUMAN

    service, worker, took_s = open_app(database), make_worker(database, stall), []
    work = asyncio.create_task(worker.run(finish_s=8, release_s=2))
    await asyncio.wait_for(judging.wait(), 60)
    for number in range(20):
        began = perf_counter()
        assert (await service.callback("/twilio/status", [*STATUS, ("Again", str(number))])).status_code == 204
        took_s.append(perf_counter() - began)
    assert (await service.client.get(f"/api/calls/{CALL}")).json()["analysis_state"] == "running"
    enough.set()
    worker.stop()
    await work
    return max(took_s)


async def test_duplicate_callbacks_are_detected_by_their_contents(receiver: Receiver) -> None:
    receiver.simulated_twilio.media.files[RECORDING] = MediaFile(HELLO)
    for token in ("first", "second", "second"):
        answer = await receiver.service.callback("/twilio/status", STATUS, I_Twilio_Idempotency_Token=token)
        assert answer.status_code == 204
        assert await receiver.recording("completed") == 204
    assert await receiver.service.rows() == {"call_log": 1, "callback": 2, "recording": 1}
    assert await receiver.worker.drain() == 1


async def test_order_comes_from_the_sequence_number_and_a_terminal_status_stays(receiver: Receiver) -> None:
    await receiver.status("completed", Timestamp=START_TIME)
    for late in ("ringing", "in-progress", "initiated"):
        await receiver.status(late)
    await receiver.status("in-progress", SequenceNumber="9")
    await receiver.status("busy", SequenceNumber="7")
    await receiver.status("in-progress", SequenceNumber=None, Timestamp="yesterday")
    await receiver.status("ringing", SequenceNumber="-1e9", Timestamp="")
    call = await receiver.call()
    assert (call["call_status"], call["ended_at"]) == ("completed", START_TIME_ISO)


async def test_a_recording_may_arrive_before_its_call(receiver: Receiver) -> None:
    assert await receiver.recording("completed", RecordingUrl="") == 204
    call = await receiver.call()
    assert (call["call_status"], call["analysis_state"]) == (None, "queued")
    await receiver.status("completed", From="+15005550006")
    call = await receiver.call()
    assert (call["call_status"], call["from_number"], call["analysis_state"]) == ("completed", "+15005550006", "queued")


async def test_absent_fields_never_blank_data_and_a_call_may_have_several_recordings(receiver: Receiver) -> None:
    await receiver.status("in-progress", From="+15005550006", To="+15005550010", AnsweredBy="human")
    await receiver.status("completed", From="", To=None, AnsweredBy=" ", CallDuration="49")
    await receiver.status("completed", SequenceNumber="4", CallDuration="")
    call = await receiver.call()
    assert (call["from_number"], call["to_number"], call["twilio_answered_by"]) == (
        "+15005550006",
        "+15005550010",
        "human",
    )
    assert call["duration_s"] == 49
    second = "RE" + "4" * 32
    await receiver.recording("completed", RecordingChannels="2", RecordingStartTime=START_TIME)
    await receiver.recording("completed", RecordingSid=second)
    await receiver.recording("absent", RecordingChannels="", RecordingStartTime="", RecordingUrl="", RecordingSource="")
    recordings = {row["recording_sid"]: row for row in (await receiver.call())["recordings"]}
    assert set(recordings) == {RECORDING, second}
    kept = recordings[RECORDING]
    assert (kept["recording_status"], kept["channels"], kept["source"]) == ("completed", 2, "OutboundAPI")
    assert kept["started_at"] == START_TIME_ISO


@pytest.mark.parametrize(
    ("status", "error_code", "state", "reason"),
    [
        ("in-progress", None, "waiting", None),
        ("completed", "0", "queued", None),
        ("completed", "16101", "queued", None),  # the status decides, not the code
        ("absent", "16101", "failed", "no_recording"),
        ("failed", "16105", "failed", "recording_failed"),
        ("teleported", None, "waiting", None),
    ],
)
async def test_each_recording_status_leads_to_its_analysis_state(
    receiver: Receiver, status: str, error_code: str | None, state: str, reason: str | None
) -> None:
    assert await receiver.recording(status, ErrorCode=error_code) == 204
    call = await receiver.call()
    assert (call["analysis_state"], call["reason"], call["label"]) == (state, reason, None)
    (row,) = call["recordings"]
    assert row["error_code"] == (None if error_code is None else int(error_code))
    unknown = receiver.service.counted("amd_unknown_values_total", parameter="RecordingStatus")
    assert unknown == (1 if status == "teleported" else 0)


async def test_raw_parameters_are_kept_without_numbers_and_logs_contain_no_secret(
    database: Database, detector: Detector, capfd: pytest.CaptureFixture[str]
) -> None:
    async with receiving(database, detector, phone_numbers="hash", phone_number_key=SecretStr("k" * 32)) as receiver:
        await receiver.status("completed", From="+15005550006", To="+15005550010", CallerName="JANE DOE", New="1")
        await receiver.service.callback("/twilio/status", STATUS, token="b" * 32)
        call = await receiver.call()
    async with database.transaction() as session:
        kept = (await session.scalars(select(Callback))).one()
    parameters = {str(name): value for name, value in kept.parameters or ()}
    assert (parameters["New"], parameters["CallStatus"], parameters["CallerName"]) == ("1", "completed", "")
    assert call["from_number"] == parameters["From"]
    assert call["from_number"].startswith("hmac:")
    for secret in ("5005550", "JANE"):
        assert secret not in f"{kept.parameters} {kept.facts} {call}"
    logged = "".join(capfd.readouterr())
    assert "callback refused" in logged
    assert [secret for secret in (TOKEN, "b" * 32, "5005550", "JANE") if secret in logged] == []


async def test_a_whole_call_ends_in_a_verdict_with_callbacks_out_of_order_and_repeated(receiver: Receiver) -> None:
    receiver.simulated_twilio.media.files[RECORDING] = MediaFile(HELLO, scripted=[NOT_FOUND])
    statuses = ("completed", "ringing", "in-progress", "initiated", "ringing")  # out of order, one of them twice
    for call_status in statuses:
        assert await receiver.status(call_status) == 204
    for _ in range(2):
        assert await receiver.recording("completed", ErrorCode="0", RecordingUrl="") == 204
    call = await receiver.judged()
    assert (call["call_status"], call["label"], call["reason"]) == ("completed", "human", "confident")
    assert receiver.media_requests[0] == MEDIA_PATH
