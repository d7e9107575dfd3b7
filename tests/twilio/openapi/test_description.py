"""Twilio's description finds what is wrong with a request, so that nothing passes because nothing is checked."""

import pytest

from amd_service.simulator.twilio.rest_api import RestRequest
from tests.twilio.openapi.description import twilio_description

AC = "AC" + "a" * 32
CALLS = f"/2010-04-01/Accounts/{AC}/Calls.json"
NUMBERS = [("To", "+1"), ("From", "+1")]


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Recrod", "true")]), "Recrod is no parameter"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Timeout", "soon")]), "is no integer"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Record", "yes")]), "neither true nor false"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallbackMethod", "PUT")]), "is none of"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("StatusCallback", "/status")]), "is no uri"),
        (RestRequest("POST", CALLS, [], [*NUMBERS, ("Trim", "a"), ("Trim", "b")]), "given 2 times"),
        (RestRequest("POST", CALLS, [], [("To", "+1")]), "From is missing"),
        (RestRequest("POST", CALLS, [("PageSize", "2")], NUMBERS), "PageSize is no parameter"),
        (RestRequest("GET", CALLS, [("StartTime>", "yesterday")], []), "is no date-time"),
        (RestRequest("GET", CALLS, [("PageSize", "1001")], []), "out of range"),
        (RestRequest("GET", CALLS, [("Status", "done")], []), "is none of"),
        (RestRequest("GET", CALLS.replace(AC, "ACme"), [], []), "too short"),
        (RestRequest("GET", CALLS.replace(AC, "AC" + "x" * 32), [], []), "does not match"),
        (RestRequest("PUT", CALLS, [], []), "is no operation"),
        (RestRequest("GET", "/2010-04-01/Calls.json", [], []), "is no operation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_description_finds_what_is_wrong(request_: RestRequest, problem: str) -> None:
    (found,) = twilio_description().violations(request_)
    assert problem in found


def test_the_description_has_nothing_against_what_is_right() -> None:
    events = [("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "completed")]
    assert twilio_description().violations(RestRequest("POST", CALLS, [], [*NUMBERS, *events])) == []
