"""URL and key of a Media Stream."""

from hashlib import sha256
from hmac import new as hmac

import pytest
from pydantic import SecretStr

from amd_service.domain import AccountSid, CallSid
from amd_service.errors import InvalidSignature
from amd_service.settings import Account
from amd_service.twilio.stream_keys import stream_key, stream_url, verify_stream_key

CALL = CallSid("CA" + "d" * 32)
ACCOUNT = Account(account_sid=AccountSid("AC" + "a" * 32), auth_tokens=[SecretStr("new-token"), SecretStr("old-token")])


def key_of(token: str, call_sid: str = CALL) -> str:
    """A second implementation of the formula of `stream_key`."""
    return hmac(token.encode(), call_sid.encode(), sha256).hexdigest()


@pytest.mark.parametrize("token", ["new-token", "old-token"])
def test_the_key_of_each_token_is_accepted(token: str) -> None:
    assert stream_key(SecretStr(token), CALL) == key_of(token)
    verify_stream_key(ACCOUNT, CALL, key_of(token))


@pytest.mark.parametrize(
    "key", [None, "", "é", key_of("sub-token"), key_of("new-token", "CA" + "e" * 32), key_of("new-token").upper()]
)
def test_any_other_key_is_refused(key: str | None) -> None:
    with pytest.raises(InvalidSignature, match="key"):
        verify_stream_key(ACCOUNT, CALL, key)


def test_the_stream_url_is_wss_if_the_public_url_is_https() -> None:
    assert stream_url("https://amd.example.com", "/twilio/media") == "wss://amd.example.com/twilio/media"
    assert stream_url("http://localhost:8080", "/twilio/media") == "ws://localhost:8080/twilio/media"
