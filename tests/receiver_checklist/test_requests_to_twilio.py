"""Requests to Twilio: callbacks with retries, untrimmed recordings, reconciliation and deletion."""

from datetime import UTC, datetime, timedelta

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.runtime import build_reconciliation, build_retention
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording
from amd_service.twilio.call_request import CallRequest
from tests.support.app import PUBLIC_URL, STATUS, open_app
from tests.support.receiver import HELLO, Receiver, receiving, sid
from tests.support.sids import ACCOUNT, CALL, RECORDING

pytestmark = pytest.mark.anyio

START_TIME, START_TIME_ISO = "Wed, 02 Sep 2026 10:15:30 +0000", "2026-09-02T10:15:30+00:00"


async def test_retry_overrides_5xx_and_reconciliation_make_up_for_lost_callbacks(receiver: Receiver) -> None:
    order = CallRequest(to="+15005550010", from_number="+15005550006", twiml="<Response/>", twilio_amd=True)
    await receiver.rest.place_call(receiver.account, order)
    (asked,) = receiver.simulated_twilio.rest.requests
    form = dict(asked.form)
    for name in ("StatusCallback", "RecordingStatusCallback", "AsyncAmdStatusCallback"):
        assert form[name].startswith(PUBLIC_URL + "/twilio/"), name
        assert form[name].endswith("#rt=6000&rc=3&rp=5xx,ct,rt"), name
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    # Twilio retries after a 503, not after a 400. A retry can succeed if the database is unavailable, but not if the
    # request is invalid.
    assert (await open_app(away).callback("/twilio/status", STATUS)).status_code == 503
    assert (await receiver.service.callback("/twilio/status", STATUS[:2])).status_code == 400
    await away.dispose()
    began = datetime.now(UTC)
    lost = SimulatedCall(
        account_sid=ACCOUNT, sid=CALL, status="completed", started_at=began, ended_at=began, duration_s=3
    )
    lost.recordings.append(SimulatedRecording(call_sid=CALL, sid=RECORDING))
    receiver.simulated_twilio.rest.add(lost)
    receiver.simulated_twilio.media.files[RECORDING] = MediaFile(HELLO)
    runtime = receiver.service.runtime
    reconciliation = build_reconciliation(
        receiver.settings, runtime.database, receiver.rest, runtime.numbers, runtime.metrics
    )
    await reconciliation.sweep_since(began - timedelta(hours=1))
    assert (await receiver.judged())["label"] == "human"


async def test_calls_are_recorded_without_trimming_and_the_start_time_is_kept(receiver: Receiver) -> None:
    order = CallRequest(to="+15005550010", from_number="+15005550006", twiml="<Response/>")
    await receiver.rest.place_call(receiver.account, order)
    form = dict(receiver.simulated_twilio.rest.requests[-1].form)
    assert (form["Trim"], form["RecordingTrack"], form["Record"]) == ("do-not-trim", "inbound", "true")
    await receiver.recording("completed", RecordingStartTime=START_TIME)
    assert (await receiver.call())["recordings"][0]["started_at"] == START_TIME_ISO


async def test_twilios_copy_is_deleted_after_the_verdict_and_a_404_counts_as_deleted(
    database: Database, detector: Detector
) -> None:
    async with receiving(database, detector, delete_recordings=True) as receiver:
        media_files = receiver.simulated_twilio.media.files
        await receiver.judge(1, MediaFile(HELLO))
        await receiver.judge(2, MediaFile(HELLO))
        await receiver.recording("in-progress", RecordingSid="RE" + "9" * 32, CallSid="CA" + "9" * 32)
        del media_files[sid("RE", 2)]  # deleted by another application
        metrics = receiver.service.runtime.metrics
        await build_retention(
            receiver.settings, database, receiver.rest, receiver.service.runtime.numbers, metrics
        ).erase()
        assert sid("RE", 1) not in media_files
        deleted = {
            asked.path.rpartition("/")[2]
            for asked in receiver.simulated_twilio.rest.requests
            if asked.method == "DELETE"
        }
        assert deleted == {f"{sid('RE', 1)}.json", f"{sid('RE', 2)}.json"}
        rows = [(await receiver.call(sid("CA", number)))["recordings"][0] for number in (1, 2)]
        assert all(row["erased_at"] for row in rows)
        assert (await receiver.call("CA" + "9" * 32))["recordings"][0]["erased_at"] is None
