from base64 import b64encode
from hashlib import sha1
from hmac import new as hmac
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.datastructures import Headers
from twilio.request_validator import RequestValidator

from amd_service.domain import AccountSid
from amd_service.errors import SignatureRefused
from amd_service.settings import Account
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.signature import verify

Pairs = tuple[tuple[str, str], ...]

PUBLIC_URL = "https://amd.example.com"
PATH = b"/twilio/status"
MAIN = AccountSid("AC" + "a" * 32)
SUB = AccountSid("AC" + "b" * 32)
ACCOUNTS = {
    MAIN: Account(account_sid=MAIN, auth_tokens=[SecretStr("new token"), SecretStr("old token")]),
    SUB: Account(account_sid=SUB, auth_tokens=[SecretStr("sub token")]),
}
FORM: Pairs = (
    ("CallSid", "CA" + "1" * 32),
    ("AccountSid", MAIN),
    ("CallStatus", "completed"),
    ("To", "+15005550006"),
    ("CallerName", ""),
    ("ToCity", " SAN JOSÉ "),
)


def signature(url: str, form: Pairs, token: str) -> str:
    """Twilio's algorithm as its documentation words it, written a second time."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac(token.encode(), text.encode(), sha1).digest()).decode()


def check(
    form: Pairs = FORM,
    *,
    signed: str | None = None,
    public_url: str | None = PUBLIC_URL,
    path: bytes = PATH,
    query: bytes = b"",
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> Account:
    own = () if signed is None else ((b"x-twilio-signature", signed.encode("latin-1")),)
    return verify(ACCOUNTS, public_url, path, query, form, Headers(raw=[*own, *extra]))


def test_the_documented_example_is_accepted() -> None:
    form = (
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675310"),
        ("Digits", "1234"),
        ("From", "+14158675310"),
        ("To", "+18005551212"),
    )
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert signature(url, form, "12345") == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize("token", ["new token", "old token"])
def test_each_token_of_a_rotation_is_accepted(token: str) -> None:
    assert check(signed=signature(PUBLIC_URL + "/twilio/status", FORM, token)).account_sid == MAIN


def test_a_subaccount_signs_with_its_own_token_only() -> None:
    form = tuple((name, SUB if name == "AccountSid" else value) for name, value in FORM)
    url = PUBLIC_URL + "/twilio/status"
    assert check(form, signed=signature(url, form, "sub token")).account_sid == SUB
    with pytest.raises(SignatureRefused):
        check(form, signed=signature(url, form, "new token"))


def test_a_repeated_parameter_is_accepted() -> None:
    form = (*FORM, ("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "answered"))
    assert check(form, signed=signature(PUBLIC_URL + "/twilio/status", form, "new token"))


def test_raw_path_and_query_are_signed_undecoded() -> None:
    url = PUBLIC_URL + "/twilio/a%20b?x=%2B&y=a+b"
    signed = signature(url, FORM, "new token")
    assert check(signed=signed, path=b"/twilio/a%20b", query=b"x=%2B&y=a+b")
    with pytest.raises(SignatureRefused):
        check(signed=signed, path=b"/twilio/a%20b", query=b"x=%2B&y=a%20b")


@pytest.mark.parametrize("configured", ["https://amd.example.com", "https://amd.example.com:443"])
@pytest.mark.parametrize("signing", ["https://amd.example.com", "https://amd.example.com:443"])
def test_twilio_may_sign_with_or_without_the_port(configured: str, signing: str) -> None:
    assert check(signed=signature(signing + "/twilio/status", FORM, "new token"), public_url=configured)


def test_a_prefix_that_the_proxy_strips_is_part_of_the_signed_url() -> None:
    signed = signature("https://example.com/amd/twilio/status", FORM, "new token")
    assert check(signed=signed, public_url="https://example.com/amd", path=b"/twilio/status")


def test_the_host_header_has_no_say() -> None:
    signed = signature("https://evil.example/twilio/status", FORM, "new token")
    with pytest.raises(SignatureRefused):
        check(signed=signed, extra=((b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example")))


@pytest.mark.parametrize("signed", [None, "", "AAAA", "signatüre", "\x80" * 28, "A" * 28, "A" * 100_000])
def test_a_missing_or_wrong_signature_is_refused(signed: str | None) -> None:
    with pytest.raises(SignatureRefused):
        check(signed=signed)


def test_two_signatures_are_refused_though_one_is_right() -> None:
    right = signature(PUBLIC_URL + "/twilio/status", FORM, "new token")
    with pytest.raises(SignatureRefused, match="2 times"):
        check(signed=right, extra=((b"x-twilio-signature", b"A" * 28),))


def test_shared_key_signing_is_refused_by_name() -> None:
    shared_key = (b"x-twilio-webhooks-signature-settings", b"key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")
    right = signature(PUBLIC_URL + "/twilio/status", FORM, "new token")
    with pytest.raises(SignatureRefused, match=r"SharedKey.*switch"):
        check(signed=right, extra=(shared_key,))


def test_a_signature_over_a_json_body_does_not_vouch_for_a_form() -> None:
    query = b"bodySHA256=" + b"0" * 64
    json_signature = signature(f"{PUBLIC_URL}/twilio/status?{query.decode()}", (), "new token")
    with pytest.raises(SignatureRefused):
        check((), signed=json_signature, query=query)
    with pytest.raises(SignatureRefused):
        check(signed=json_signature, query=query)


def test_without_a_public_url_everything_is_refused_and_the_setting_named() -> None:
    with pytest.raises(SignatureRefused, match="AMD_PUBLIC_URL"):
        check(signed=signature("/twilio/status", FORM, "new token"), public_url=None)


@pytest.mark.parametrize(
    "account",
    [(), ("AC" + "c" * 32,), ("",), ("AC'; drop table",), (MAIN, SUB), (MAIN + "\n",), (MAIN.replace("AC", "CA"),)],
    ids=["absent", "unknown", "blank", "garbled", "two", "newline", "call sid"],
)
def test_only_one_well_formed_known_account_is_accepted(account: tuple[str, ...]) -> None:
    form = (("CallSid", "CA" + "1" * 32), *(("AccountSid", sid) for sid in account))
    with pytest.raises(SignatureRefused):
        check(form, signed=signature(PUBLIC_URL + "/twilio/status", form, "new token"))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = TEXT.filter(lambda name: name != "AccountSid")
FORMS = st.lists(st.tuples(NAMES, TEXT), max_size=8).map(lambda pairs: (("AccountSid", str(MAIN)), *pairs))
SEGMENTS = st.text("abcXYZ019-._~%", max_size=10)
QUERIES = st.text("abcXYZ019-._~%+=&", max_size=20)


@settings(deadline=None)
@given(form=FORMS, path=SEGMENTS, query=QUERIES)
def test_what_the_package_signs_is_accepted(form: Pairs, path: str, query: str) -> None:
    url = f"{PUBLIC_URL}/{path}" + (f"?{query}" if query else "")
    signed = RequestValidator("new token").compute_signature(url, _MultiDict(form))
    assert check(form, signed=signed, path=f"/{path}".encode(), query=query.encode()).account_sid == MAIN


@settings(deadline=None)
@given(form=FORMS)
def test_a_form_survives_its_way_over_the_wire(form: Pairs) -> None:
    received = parse_form(urlencode(form).encode())
    assert received == tuple(form)


@settings(deadline=None)
@given(form=FORMS, other=FORMS, path=SEGMENTS, other_path=SEGMENTS, query=QUERIES, other_query=QUERIES)
def test_any_other_request_is_refused(
    form: Pairs, other: Pairs, path: str, other_path: str, query: str, other_query: str
) -> None:
    assume(_signed_text(path, query, form) != _signed_text(other_path, other_query, other))
    signed = signature(f"{PUBLIC_URL}/{path}" + (f"?{query}" if query else ""), form, "new token")
    with pytest.raises(SignatureRefused):
        check(other, signed=signed, path=f"/{other_path}".encode(), query=other_query.encode())


@settings(deadline=None)
@given(form=FORMS.filter(lambda form: len(set(form)) > 1), data=st.data())
def test_one_changed_value_is_refused(form: Pairs, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(form) - 1))
    value = data.draw(TEXT)
    changed = (*form[:at], (form[at][0], value), *form[at + 1 :])
    assume(_signed_text("", "", changed) != _signed_text("", "", form))
    with pytest.raises(SignatureRefused):
        check(changed, signed=signature(PUBLIC_URL + "/twilio/status", form, "new token"))


@settings(deadline=None)
@given(path=st.binary(max_size=20), query=st.binary(max_size=20), value=st.text(st.characters()), header=st.binary())
def test_nothing_but_a_refusal_is_ever_raised(path: bytes, query: bytes, value: str, header: bytes) -> None:
    form = (("AccountSid", str(MAIN)), ("CallStatus", value))  # value: lone surrogates too
    with pytest.raises(SignatureRefused):
        verify(ACCOUNTS, PUBLIC_URL, path, query, form, Headers(raw=[(b"x-twilio-signature", header)]))


def _signed_text(path: str, query: str, form: Pairs) -> str:
    """What the algorithm hashes: names and values run together, so different forms can share it."""
    return f"/{path}" + (f"?{query}" if query else "") + "".join(name + value for name, value in sorted(set(form)))


class _MultiDict(dict[str, list[str]]):
    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]
