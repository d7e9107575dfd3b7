"""Validation rules of a call request that do not depend on settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from amd_service.errors import RequestRefused
from amd_service.twilio.call_request import CallRequest, describe_faults, make_call_request

REQUEST: dict[str, Any] = {"to": "+12125550100", "from_number": "+15005550006", "url": "https://example.com/twiml"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"to": "+4912345"},
        {"url": None, "twiml": f"<Response>{'x' * 3979}</Response>"},
        {
            "url": None,
            "twiml": '<?xml version="1.0" encoding="UTF-8"?><Response><Say>Grüezi &amp; hoi</Say></Response>',
        },
        {"url": "http://example.com"},
        {"track": "both", "ring_s": 5},
        {"campaign": "Spring-2026", "tags": ("vip", "list_b.v2")},
    ],
    ids=str,
)
def test_a_call_request_within_the_rules_is_accepted(changes: dict[str, object]) -> None:
    make_call_request(**REQUEST | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"to": "12125550100"}, "`to` must be a number in E.164"),
        ({"to": "+1212555010\u0663"}, "`to` must be a number in E.164"),
        ({"to": "+12125550100\n"}, "`to` must be a number in E.164"),
        ({"to": "+12125"}, "`to` must be a number in E.164"),
        ({"to": "+02125550100"}, "`to` must be a number in E.164"),
        ({"to": "+1212555010012345"}, "`to` must be a number in E.164"),
        ({"from_number": "client:me"}, "`from` must be a number in E.164"),
        ({"twiml": "<Response/>"}, "not both"),
        ({"url": None, "twiml": "x" * 4001}, "4000 characters"),
        ({"url": None, "twiml": ""}, "1 to 4000"),
        ({"url": None, "twiml": "<Response>"}, "not well-formed XML: no element found: line 1, column 10"),
        ({"url": None, "twiml": "Hello"}, "not well-formed XML"),
        ({"url": None, "twiml": "<Response>&hello;</Response>"}, "not well-formed XML: undefined entity"),
        ({"url": None, "twiml": "<Response>\ud800</Response>"}, "not well-formed XML"),
        ({"url": None, "twiml": '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>'}, "must not have a DOCTYPE"),
        ({"url": "ftp://example.com/twiml"}, "http"),
        ({"url": "https://example.com/twiml\0"}, "http"),
        ({"url": "https://example.com/twi ml"}, "http"),
        ({"url": "https://example.com/\ntwiml"}, "http"),
        ({"url": "https:///twiml"}, "http"),
        ({"url": "https://[example"}, "http"),
        ({"url": "https://example.com/" + "x" * 4000}, "at most 4000"),
        ({"track": "outbound"}, "inbound or both"),
        ({"ring_s": 4}, "5 to 600"),
        ({"ring_s": 601}, "5 to 600"),
        ({"campaign": ""}, "`campaign` must have 1 to 64 letters"),
        ({"campaign": "spring sale"}, "`campaign` must have 1 to 64 letters"),
        ({"campaign": "x" * 65}, "`campaign` must have 1 to 64 letters"),
        ({"tags": ("vip", "=1")}, "each of `tags` must have 1 to 64 letters"),
        ({"tags": tuple(f"t{number}" for number in range(11))}, "at most 10 different tags; it has 11"),
    ],
    ids=str,
)
def test_a_call_request_outside_the_rules_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RequestRefused, match=message):
        make_call_request(**REQUEST | changes)


def test_in_json_the_calling_number_is_named_from() -> None:
    body = b'{"to": "+12125550100", "%s": "+15005550006", "url": "https://example.com/twiml"}'
    assert CallRequest.model_validate_json(body % b"from", by_alias=True, by_name=False) == CallRequest(**REQUEST)
    with pytest.raises(ValidationError) as wrong:
        CallRequest.model_validate_json(body % b"from_number", by_alias=True, by_name=False)
    assert describe_faults(wrong.value.errors()) == "`from` is missing; `from_number` is not a field of a call request"


def test_the_order_of_tags_and_repeated_tags_make_no_difference() -> None:
    one = make_call_request(**REQUEST, tags=("vip", "b", "vip"))
    assert one == make_call_request(**REQUEST, tags=("b", "vip"))
    body = b'{"to": "+12125550100", "from": "+15005550006", "url": "https://example.com/twiml", "tags": ["vip", "b"]}'
    assert CallRequest.model_validate_json(body, by_alias=True, by_name=False) == one
