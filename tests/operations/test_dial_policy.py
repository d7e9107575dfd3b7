"""The rules of the settings for placing calls."""

import pytest
from pydantic import SecretStr

from amd_service.domain import AccountSid
from amd_service.errors import NotAllowed, RequestRefused
from amd_service.operations.dial_policy import DialPolicy, require_valid_key
from amd_service.settings import Account
from amd_service.twilio.call_request import CallRequest

REQUEST = CallRequest(to="+12125550100", from_number="+15005550006", url="https://example.com/twiml")
FIRST, SECOND = (
    Account(account_sid=AccountSid("AC" + digit * 32), auth_tokens=[SecretStr("a" * 32)]) for digit in "12"
)


def make_policy(*accounts: Account, **changes: object) -> DialPolicy:
    values = {"prefixes": ["+1212", "+49"], "per_minute": 60, "has_public_url": True, "stream_url": None, **changes}
    return DialPolicy(accounts={account.account_sid: account for account in accounts}, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["+12125550100", "+49301234567", "+4912345"])
def test_a_number_with_an_allowed_prefix_may_be_called(to: str) -> None:
    make_policy().require_allowed(REQUEST.model_copy(update={"to": to}))


@pytest.mark.parametrize(
    ("to", "policy", "says"),
    [
        ("+12125550100", {"prefixes": []}, "set AMD_DIAL_PREFIXES"),
        ("+19005550100", {}, "none of AMD_DIAL_PREFIXES"),
        ("+12125550100", {"has_public_url": False}, "AMD_PUBLIC_URL"),
    ],
    ids=["no prefixes", "other prefix", "no public URL"],
)
def test_the_refusal_names_the_setting_that_forbids_the_call(to: str, policy: dict[str, object], says: str) -> None:
    with pytest.raises(NotAllowed, match=says):
        make_policy(**policy).require_allowed(REQUEST.model_copy(update={"to": to}))


def test_a_request_without_twiml_is_refused_unless_streams_are_live() -> None:
    silent = REQUEST.model_copy(update={"url": None})
    with pytest.raises(RequestRefused, match="either `url` or `twiml`"):
        make_policy().require_allowed(make_policy().with_default_twiml(silent))
    live = make_policy(stream_url="https://amd.example.com/twilio/stream.xml")
    live.require_allowed(live.with_default_twiml(silent))
    assert live.with_default_twiml(REQUEST) is REQUEST


@pytest.mark.parametrize("key", ["", "x" * 256, "na\u00efve", "line\nbreak", "end\n"])
def test_an_invalid_idempotency_key_is_refused(key: str) -> None:
    with pytest.raises(RequestRefused, match="printable ASCII"):
        require_valid_key(key)


def test_a_request_without_an_account_uses_the_only_configured_account() -> None:
    one, both = make_policy(FIRST), make_policy(FIRST, SECOND)
    assert one.choose_account(None) is FIRST
    assert both.choose_account(SECOND.account_sid) is SECOND
    with pytest.raises(NotAllowed, match="TWILIO_ACCOUNT_SID"):
        make_policy().choose_account(None)
    with pytest.raises(RequestRefused, match="set `account_sid`"):
        both.choose_account(None)
    with pytest.raises(RequestRefused, match="is not configured"):
        one.choose_account(SECOND.account_sid)
