"""The validation reports invalid requests. Without this, tests that use the validation prove nothing."""

import pytest

from amd_service.simulator.twilio.rest_api import RestRequest
from tests.twilio.openapi.description import twilio_description

AC = "AC" + "a" * 32
CALLS = f"/2010-04-01/Accounts/{AC}/Calls.json"
ANNOTATION = f"/v1/Voice/CA{'a' * 32}/Annotation"
NUMBERS = [("To", "+1"), ("From", "+1")]


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Recrod", "true")]), "Recrod is not a parameter"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Timeout", "soon")]), "is not an integer"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Record", "yes")]), "must be true or false"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallbackMethod", "PUT")]), "must be one of"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallback", "/status")]), "is not a valid uri"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Trim", "a"), ("Trim", "b")]), "given 2 times"),
        (RestRequest("POST", CALLS, [], [("To", "+1")]), "From is missing"),
        (RestRequest("POST", CALLS, [("PageSize", "2")], NUMBERS), "PageSize is not a parameter"),
        (RestRequest("GET", CALLS, [("StartTime>", "yesterday")], []), "is not a valid date-time"),
        (RestRequest("GET", CALLS, [("PageSize", "1001")], []), "out of range"),
        (RestRequest("GET", CALLS, [("Status", "done")], []), "must be one of"),
        (RestRequest("GET", CALLS.replace(AC, "ACme"), [], []), "too short"),
        (RestRequest("GET", CALLS.replace(AC, "AC" + "x" * 32), [], []), "does not match"),
        (RestRequest("PUT", CALLS, [], []), "is not an operation"),
        (RestRequest("POST", ANNOTATION, [], [("AnsweredBy", "voicemail")]), "must be one of"),
        (RestRequest("POST", ANNOTATION, [], [("Note", "a note")]), "Note is not a parameter"),
        (RestRequest("GET", "/2010-04-01/Calls.json", [], []), "is not an operation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_request_is_reported(request_: RestRequest, problem: str) -> None:
    (found,) = twilio_description().violations(request_)
    assert problem in found


def test_a_valid_request_has_no_violations() -> None:
    events = [("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "completed")]
    assert twilio_description().violations(RestRequest("POST", CALLS, [], [*NUMBERS, *events])) == []
