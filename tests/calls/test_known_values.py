"""Documented values are known, and all other values are returned."""

import pytest

from amd_service.calls.known_values import unknown_values
from tests.support.deliveries import amd, recording, status

CALLBACKS = "queued initiated ringing in-progress completed busy failed no-answer"  # voice/api/call-resource
API = "queued ringing in-progress canceled completed failed busy no-answer"  # twilio_api_v2010.json, as the next two
RECORDINGS = "in-progress paused stopped processing completed absent deleted failed"
SOURCES = (
    "DialVerb Conference OutboundAPI Trunking RecordVerb StartCallRecordingAPI StartConferenceRecordingAPI"  # as above
)
ANSWERED_BY = "human machine_start machine_end_beep machine_end_silence machine_end_other fax unknown"


@pytest.mark.parametrize("value", sorted({*CALLBACKS.split(), *API.split()}))
def test_every_documented_call_status_is_known(value: str) -> None:
    assert unknown_values(status(value)) == {}


@pytest.mark.parametrize("value", RECORDINGS.split())
def test_every_documented_recording_status_is_known(value: str) -> None:
    assert unknown_values(recording(value)) == {}


@pytest.mark.parametrize("value", SOURCES.split())
def test_every_documented_recording_source_is_known(value: str) -> None:
    assert unknown_values(recording("completed", source=value)) == {}


@pytest.mark.parametrize("value", ANSWERED_BY.split())
def test_every_documented_answered_by_value_is_known_on_both_callbacks(value: str) -> None:
    assert unknown_values(amd(value)) == unknown_values(status("in-progress", answered_by=value)) == {}


def test_undocumented_values_are_returned_by_parameter() -> None:
    assert unknown_values(status("Completed", answered_by="robot")) == {
        "CallStatus": "Completed",
        "AnsweredBy": "robot",
    }
    assert unknown_values(recording("done", source="Fax")) == {"RecordingStatus": "done", "RecordingSource": "Fax"}
    assert unknown_values(recording("absent", source=None)) == {}
