"""Documented, undocumented and unknown callback parameters. All parameters are stored as sent."""

import pytest
from sqlalchemy import select

from amd_service.calls.tables import Callback
from tests.support.app import App, Pairs
from tests.support.sids import ACCOUNT, CALL, RECORDING

pytestmark = pytest.mark.anyio

MOMENT = "Wed, 02 Sep 2026 10:15:30 +0000"
CONFERENCE = "CF" + "4" * 32
PLACES = [
    (f"{party}{place}", value)
    for party in ("From", "To", "Caller", "Called")
    for place, value in (("City", "SAN JOSÉ"), ("State", "CA"), ("Zip", ""), ("Country", "US"))
]
# Pairs of the sent parameters and the expected parsed values, without the SIDs.
STATUS = (
    [
        ("AccountSid", ACCOUNT),
        ("CallSid", CALL),
        ("ParentCallSid", "CA" + "9" * 32),
        ("CallStatus", "completed"),
        ("ApiVersion", "2010-04-01"),
        ("Direction", "outbound-api"),
        ("From", "+15005550006"),
        ("To", "+15005550010"),
        ("Caller", "+15005550006"),
        ("Called", "+15005550010"),
        ("ForwardedFrom", "+15005550011"),
        ("CallerName", "JANE  DOE "),
        *PLACES,
        ("Timestamp", MOMENT),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "3"),
        ("SipResponseCode", "200"),
        ("Duration", "1"),
        ("CallDuration", "49"),
        ("RecordingUrl", f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}"),
        ("RecordingSid", RECORDING),
        ("RecordingDuration", "44"),
        ("AnsweredBy", "human"),
        ("MachineDetectionDuration", "2900"),
        ("StirVerstat", "TN-Validation-Passed-A"),
        ("QueueTime", "0"),
        ("ErrorCode", "0"),
    ],
    {
        "call_status": "completed",
        "parent_call_sid": "CA" + "9" * 32,
        "direction": "outbound-api",
        "from_number": "+15005550006",
        "to_number": "+15005550010",
        "timestamp": "2026-09-02T10:15:30Z",
        "sequence_number": 3,
        "sip_response_code": 200,
        "billed_min": 1,
        "duration_s": 49,
        "recording_sid": RECORDING,
        "answered_by": "human",
        "machine_detection_ms": 2900,
        "error_code": 0,
    },
)
RECORDED = (
    [
        ("AccountSid", ACCOUNT),
        ("CallSid", CALL),
        ("ConferenceSid", CONFERENCE),
        ("RecordingSid", RECORDING),
        ("RecordingUrl", ""),
        ("RecordingStatus", "absent"),
        ("RecordingDuration", "0"),
        ("RecordingChannels", "1"),
        ("RecordingSource", "StartConferenceRecordingAPI"),
        ("RecordingStartTime", MOMENT),
        ("RecordingTrack", "inbound"),
        ("ErrorCode", "16101"),
    ],
    {
        "conference_sid": CONFERENCE,
        "recording_sid": RECORDING,
        "recording_status": "absent",
        "duration_s": 0,
        "channels": 1,
        "source": "StartConferenceRecordingAPI",
        "started_at": "2026-09-02T10:15:30Z",
        "track": "inbound",
        "error_code": 16101,
    },
)
AMD = (
    [
        ("AccountSid", ACCOUNT),
        ("CallSid", CALL),
        ("AnsweredBy", "machine_end_other"),
        ("MachineDetectionDuration", "30000"),
    ],
    {"answered_by": "machine_end_other", "machine_detection_ms": 30000},
)
UNKNOWN = [("NewParameter", "1"), ("NewParameter", "2"), ("Blank", ""), ("新しい", " über + ")]
CALLBACKS = {"/twilio/status": STATUS, "/twilio/recording": RECORDED, "/twilio/amd": AMD}


async def _kept(service: App) -> Callback:
    async with service.runtime.database.transaction() as session:
        return (await session.scalars(select(Callback))).one()


@pytest.mark.parametrize("path", CALLBACKS)
async def test_every_parameter_is_stored_as_sent_and_parsed(service: App, path: str) -> None:
    known, meaning = CALLBACKS[path]
    sent: Pairs = [*known, *UNKNOWN]
    assert (await service.callback(path, sent)).status_code == 204
    kept = await _kept(service)
    assert kept.parameters == [list(pair) for pair in sent]
    assert kept.facts == {"account_sid": ACCOUNT, "call_sid": CALL, **meaning}


@pytest.mark.parametrize("path", CALLBACKS)
async def test_blank_parameters_are_stored_and_yield_no_facts(service: App, path: str) -> None:
    needed = {"AccountSid", "CallSid", "CallStatus", "RecordingStatus", "AnsweredBy"}
    needed |= {"RecordingSid"} if path == "/twilio/recording" else set()
    sent = [(name, value if name in needed else " ") for name, value in CALLBACKS[path][0]]
    assert (await service.callback(path, sent)).status_code == 204
    kept = await _kept(service)
    assert kept.parameters == [list(pair) for pair in sent]
    identity = {"account_sid", "call_sid", "call_status", "recording_sid", "recording_status", "answered_by"}
    assert set(kept.facts) <= identity


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/twilio/status", "CallStatus"),
        ("/twilio/status", "AnsweredBy"),
        ("/twilio/recording", "RecordingStatus"),
        ("/twilio/recording", "RecordingSource"),
        ("/twilio/amd", "AnsweredBy"),
    ],
)
async def test_an_unknown_value_is_stored_counted_and_logged(
    service: App, capfd: pytest.CaptureFixture[str], path: str, parameter: str
) -> None:
    sent = [(name, "teleported" if name == parameter else value) for name, value in CALLBACKS[path][0]]
    for _ in range(2):  # a duplicate is not counted
        assert (await service.callback(path, sent)).status_code == 204
    assert "teleported" in (await _kept(service)).facts.values()
    assert service.counted("amd_unknown_values_total", parameter=parameter) == 1
    captured = capfd.readouterr()
    assert "teleported" in captured.out + captured.err


@pytest.mark.parametrize("path", CALLBACKS)
async def test_documented_values_are_not_counted_as_unknown(service: App, path: str) -> None:
    await service.callback(path, CALLBACKS[path][0])
    counted = service.runtime.metrics.unknown_values.collect()
    assert [sample for metric in counted for sample in metric.samples] == []


async def test_the_recording_of_a_conference_is_stored_and_counted_separately(service: App) -> None:
    sent = [pair for pair in RECORDED[0] if pair[0] != "CallSid"]
    for _ in range(2):
        assert (await service.callback("/twilio/recording", sent)).status_code == 204
    assert await service.rows() == {"call_log": 0, "callback": 1, "recording": 0}
    assert (await _kept(service)).call_sid is None
    assert service.counted("amd_callbacks_total", route="recording", outcome="stored_without_call") == 1
    assert service.counted("amd_callbacks_total", route="recording", outcome="duplicate") == 1


async def test_a_result_of_twilios_amd_is_stored_separately_from_our_verdict(service: App) -> None:
    for _ in range(2):
        assert (await service.callback("/twilio/amd", AMD[0])).status_code == 204
    call = (await service.client.get(f"/api/calls/{CALL}")).json()
    assert (call["twilio_answered_by"], call["twilio_amd_ms"]) == ("machine_end_other", 30000)
    assert (call["label"], call["confidence"], call["analysis_state"]) == (None, None, "waiting")
    assert service.counted("amd_callbacks_total", route="amd", outcome="duplicate") == 1


async def test_an_amd_callback_with_a_wrong_signature_gets_403(service: App) -> None:
    assert (await service.callback("/twilio/amd", AMD[0], token="b" * 32)).status_code == 403
    assert (await service.rows())["callback"] == 0


async def test_an_amd_callback_to_the_status_path_gets_400_with_the_correct_path(service: App) -> None:
    response = await service.callback("/twilio/status", AMD[0])
    assert response.status_code == 400
    assert "/twilio/amd" in response.json()["detail"]
