"""What may be asked of Twilio when a call is to be placed."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from amd_service.domain import AccountSid
from amd_service.errors import NotAllowed, RequestRefused
from amd_service.operations.call_request import check_call_request, check_key, choose_account
from amd_service.settings import Account, Settings
from amd_service.twilio.rest import CallRequest

AC = AccountSid("AC" + "1" * 32)
ORDER = CallRequest(to="+12125550100", from_number="+15005550006", url="https://example.com/twiml")


def make_settings(**changes: object) -> Settings:
    values = {"public_url": "https://amd.example.com", "dial_prefixes": ["+1212", "+49"], **changes}
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"to": "+49301234567"},
        {"to": "+4912345"},
        {"url": None, "twiml": f"<Response>{'x' * 3979}</Response>"},
        {
            "url": None,
            "twiml": '<?xml version="1.0" encoding="UTF-8"?><Response><Say>Grüezi &amp; hoi</Say></Response>',
        },
        {"url": "http://example.com"},
        {"track": "both", "ring_s": 5},
    ],
    ids=str,
)
def test_an_order_that_may_be_placed_passes(changes: dict[str, object]) -> None:
    check_call_request(replace(ORDER, **changes), make_settings())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"to": "12125550100"}, "`to` is a number in E.164"),
        ({"to": "+1212555010\u0663"}, "`to` is a number in E.164"),
        ({"to": "+12125550100\n"}, "`to` is a number in E.164"),
        ({"to": "+12125"}, "`to` is a number in E.164"),
        ({"to": "+02125550100"}, "`to` is a number in E.164"),
        ({"to": "+1212555010012345"}, "`to` is a number in E.164"),
        ({"from_number": "client:me"}, "`from` is a number in E.164"),
        ({"url": None}, "one of `url` and `twiml`"),
        ({"twiml": "<Response/>"}, "and not both"),
        ({"url": None, "twiml": "x" * 4001}, "4000 characters"),
        ({"url": None, "twiml": ""}, "1 to 4000"),
        ({"url": None, "twiml": "<Response>"}, "not well-formed XML: no element found: line 1, column 10"),
        ({"url": None, "twiml": "Hello"}, "not well-formed XML"),
        ({"url": None, "twiml": "<Response>&hello;</Response>"}, "not well-formed XML: undefined entity"),
        ({"url": None, "twiml": "<Response>\ud800</Response>"}, "not well-formed XML"),
        ({"url": None, "twiml": '<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>'}, "no DOCTYPE"),
        ({"url": "ftp://example.com/twiml"}, "http"),
        ({"url": "https:///twiml"}, "http"),
        ({"url": "https://[example"}, "http"),
        ({"url": "https://example.com/" + "x" * 4000}, "at most 4000"),
        ({"track": "outbound"}, "inbound or both"),
        ({"ring_s": 4}, "5 to 600"),
        ({"ring_s": 601}, "5 to 600"),
    ],
    ids=str,
)
def test_an_order_that_no_call_can_come_of_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        check_call_request(replace(ORDER, **changes), make_settings())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("to", "settings", "says"),
    [
        ("+12125550100", {"dial_prefixes": []}, "set AMD_DIAL_PREFIXES"),
        ("+19005550100", {}, "none of AMD_DIAL_PREFIXES"),
        ("+12125550100", {"public_url": None}, "AMD_PUBLIC_URL"),
    ],
    ids=["closed", "elsewhere", "nowhere to report"],
)
def test_what_the_settings_forbid_is_refused_by_the_settings_name(
    to: str, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(NotAllowed, match=says):
        check_call_request(replace(ORDER, to=to), make_settings(**settings))


@pytest.mark.parametrize("key", ["", "x" * 256, "na\u00efve", "line\nbreak", "end\n"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(RequestRefused, match="printable ASCII"):
        check_key(key)


def test_the_account_is_the_one_named_or_the_only_one() -> None:
    first, second = (
        Account(account_sid=AccountSid("AC" + digit * 32), auth_tokens=[SecretStr("a" * 32)]) for digit in "12"
    )
    both = {account.account_sid: account for account in (first, second)}
    assert choose_account({AC: first}, None) is first
    assert choose_account(both, second.account_sid) is second
    with pytest.raises(NotAllowed, match="TWILIO_ACCOUNT_SID"):
        choose_account({}, None)
    with pytest.raises(RequestRefused, match="say which"):
        choose_account(both, None)
    with pytest.raises(RequestRefused, match="is not configured"):
        choose_account({AC: first}, second.account_sid)
