"""Documented values are known, and all other values are returned."""

import pytest

from amd_service.calls.known_values import unknown_values
from tests.support.deliveries import amd, recording, status
from tests.twilio.openapi.description import twilio_description

DESCRIBED = twilio_description().document["components"]["schemas"]


@pytest.mark.parametrize("value", DESCRIBED["call_enum_status"]["enum"])
def test_every_call_status_in_twilios_description_is_known(value: str) -> None:
    assert unknown_values(status(value)) == {}


@pytest.mark.parametrize("value", DESCRIBED["recording_enum_status"]["enum"])
def test_every_recording_status_in_twilios_description_is_known(value: str) -> None:
    assert unknown_values(recording(value)) == {}


@pytest.mark.parametrize("value", DESCRIBED["recording_enum_source"]["enum"])
def test_every_recording_source_in_twilios_description_is_known(value: str) -> None:
    assert unknown_values(recording("completed", source=value)) == {}


def test_values_that_only_callbacks_have_are_known() -> None:
    assert unknown_values(status("initiated", answered_by="machine_start")) == {}
    assert unknown_values(amd("machine_end_beep")) == {}
    assert unknown_values(recording("failed")) == {}


def test_undocumented_values_are_returned_by_parameter() -> None:
    assert unknown_values(status("Completed", answered_by="robot")) == {
        "CallStatus": "Completed",
        "AnsweredBy": "robot",
    }
    assert unknown_values(recording("done", source="Fax")) == {"RecordingStatus": "done", "RecordingSource": "Fax"}
    assert unknown_values(recording("absent", source=None)) == {}
