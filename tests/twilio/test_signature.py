"""Signatures of form POSTs, case by case."""

import hmac
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from amd_service.errors import InvalidSignature
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.signature import verify
from tests.support.signed import ACCOUNTS, FORM, MAIN, PUBLIC_URL, SUB, Pairs, check, signature

URL = PUBLIC_URL + "/twilio/status"


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


@pytest.mark.parametrize("token", ["new-token", "old-token", "ie1-token"])
def test_each_token_of_a_rotation_or_a_region_is_accepted(token: str) -> None:
    assert check(signed=signature(URL, FORM, token)).account_sid == MAIN


def test_a_subaccount_signs_with_its_own_token_only() -> None:
    form = tuple((name, SUB if name == "AccountSid" else value) for name, value in FORM)
    url = URL
    assert check(form, signed=signature(url, form, "sub-token")).account_sid == SUB
    with pytest.raises(InvalidSignature):
        check(form, signed=signature(url, form, "new-token"))


def test_a_repeated_parameter_is_accepted() -> None:
    form = (*FORM, ("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "answered"))
    assert check(form, signed=signature(URL, form, "new-token"))


def test_raw_path_and_query_are_signed_without_decoding() -> None:
    url = PUBLIC_URL + "/twilio/a%20b?x=%2B&y=a+b"
    signed = signature(url, FORM, "new-token")
    assert check(signed=signed, path=b"/twilio/a%20b", query=b"x=%2B&y=a+b")
    with pytest.raises(InvalidSignature):
        check(signed=signed, path=b"/twilio/a%20b", query=b"x=%2B&y=a%20b")


@pytest.mark.parametrize("configured", ["https://amd.example.com", "https://amd.example.com:443"])
@pytest.mark.parametrize("signing", ["https://amd.example.com", "https://amd.example.com:443"])
def test_twilio_may_sign_with_or_without_the_port(configured: str, signing: str) -> None:
    assert check(signed=signature(signing + "/twilio/status", FORM, "new-token"), public_url=configured)


def test_the_signed_url_includes_a_prefix_that_the_proxy_strips() -> None:
    signed = signature("https://example.com/amd/twilio/status", FORM, "new-token")
    assert check(signed=signed, public_url="https://example.com/amd", path=b"/twilio/status")


def test_the_host_header_is_ignored() -> None:
    signed = signature("https://evil.example/twilio/status", FORM, "new-token")
    with pytest.raises(InvalidSignature):
        check(signed=signed, extra=((b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example")))


@pytest.mark.parametrize("signed", [None, "", "AAAA", "signatüre", "\x80" * 28, "A" * 28, "A" * 100_000])
def test_a_missing_or_wrong_signature_is_refused(signed: str | None) -> None:
    with pytest.raises(InvalidSignature):
        check(signed=signed)


def test_two_signatures_are_refused_even_if_one_is_valid() -> None:
    right = signature(URL, FORM, "new-token")
    with pytest.raises(InvalidSignature, match="2 times"):
        check(signed=right, extra=((b"x-twilio-signature", b"A" * 28),))


def test_shared_key_signing_is_refused_and_the_error_names_the_cure() -> None:
    shared_key = (b"x-twilio-webhooks-signature-settings", b"key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")
    right = signature(URL, FORM, "new-token")
    with pytest.raises(InvalidSignature, match=r"SharedKey.*switch"):
        check(signed=right, extra=(shared_key,))


def test_a_json_body_signature_is_not_valid_for_a_form() -> None:
    query = b"bodySHA256=" + b"0" * 64
    json_signature = signature(f"{PUBLIC_URL}/twilio/status?{query.decode()}", (), "new-token")
    with pytest.raises(InvalidSignature):
        check((), signed=json_signature, query=query)
    with pytest.raises(InvalidSignature):
        check(signed=json_signature, query=query)


def test_without_a_public_url_every_request_is_refused_and_the_setting_is_named() -> None:
    with pytest.raises(InvalidSignature, match="AMD_PUBLIC_URL"):
        check(signed=signature("/twilio/status", FORM, "new-token"), public_url=None)


@pytest.mark.parametrize(
    "account",
    [(), ("AC" + "c" * 32,), ("",), ("AC'; drop table",), (MAIN, SUB), (MAIN + "\n",), (MAIN.replace("AC", "CA"),)],
    ids=["absent", "unknown", "blank", "garbled", "two", "newline", "call sid"],
)
def test_only_one_well_formed_known_account_is_accepted(account: tuple[str, ...]) -> None:
    form = (("CallSid", "CA" + "1" * 32), *(("AccountSid", sid) for sid in account))
    with pytest.raises(InvalidSignature):
        check(form, signed=signature(URL, form, "new-token"))


@pytest.mark.parametrize("token", ["", "New token", "new token ", "sub-token", "a token of long ago"])
def test_no_other_token_is_accepted(token: str) -> None:
    with pytest.raises(InvalidSignature):
        check(signed=signature(URL, FORM, token))


def test_a_parameter_repeated_with_one_value_is_signed_once() -> None:
    twice = (*FORM, ("Digits", "1"), ("Digits", "1"))
    once = (*FORM, ("Digits", "1"))
    assert signature(URL, twice, "new-token") == signature(URL, once, "new-token")
    assert check(twice, signed=signature(URL, once, "new-token"))


def test_a_blank_value_is_signed() -> None:
    without = tuple(pair for pair in FORM if pair[1])
    for sent, signed in ((FORM, without), (without, FORM)):
        with pytest.raises(InvalidSignature):
            check(sent, signed=signature(URL, signed, "new-token"))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"To=%2B15005550006", "+15005550006"),
        (b"To=+15005550006", " 15005550006"),
        (b"To=%20x%20", " x "),
        (b"To=caf%C3%A9+%F0%9F%93%9E", "café \U0001f4de"),
        (b"To=a%26b%3Dc", "a&b=c"),
        (b"%54o=x", "x"),
    ],
)
def test_the_decoded_values_are_signed(body: bytes, value: str) -> None:
    form = parse_form(b"AccountSid=" + MAIN.encode() + b"&" + body)
    assert check(form, signed=signature(URL, (("AccountSid", MAIN), ("To", value)), "new-token"))
    with pytest.raises(InvalidSignature):
        check(form, signed=signature(URL, (("AccountSid", MAIN), ("To", value.strip(" +") + "?")), "new-token"))


@pytest.mark.parametrize("signing", ["https://amd.example.com", "https://amd.example.com:8443"])
def test_a_custom_port_may_be_signed_or_omitted(signing: str) -> None:
    # Twilio signs the URLs of voice webhooks over https without their port (docs: webhooks security).
    assert check(signed=signature(signing + "/twilio/status", FORM, "new-token"), public_url=PUBLIC_URL + ":8443")


@pytest.mark.parametrize(
    "signing",
    [
        "http://amd.example.com/twilio/status",
        "https://amd.example.com:8443/twilio/status",
        "https://amd.example.org/twilio/status",
        "https://amd.example.com.evil.example/twilio/status",
        "https://user:password@amd.example.com/twilio/status",
        "https://amd.example.com/twilio/status/",
        "https://amd.example.com/twilio//status",
        "https://amd.example.com/Twilio/status",
        "https://amd.example.com/twilio/%73tatus",
        "https://amd.example.com/twilio/recording",
        "https://amd.example.com/amd/twilio/status",
        "https://amd.example.com/twilio/status?a=1",
        "https://amd.example.com/twilio/status#rc=3",
    ],
)
def test_a_signature_for_another_url_is_refused(signing: str) -> None:
    with pytest.raises(InvalidSignature):
        check(signed=signature(signing, FORM, "new-token"))


@pytest.mark.parametrize("target", [b"/twilio/status#", b"/twilio/status;", b"/twilio/status?", b"/twilio/status;?#"])
def test_a_target_that_urlparse_would_change_is_refused(target: bytes) -> None:
    with pytest.raises(InvalidSignature, match="target"):
        check(signed=signature(URL, FORM, "new-token"), path=target)


@pytest.mark.parametrize("target", [b":443/twilio/status", b"", b"http://amd.example.com/twilio/status"])
def test_a_target_without_a_leading_slash_is_refused(target: bytes) -> None:
    base = PUBLIC_URL + target.decode()
    with pytest.raises(InvalidSignature, match="target"):
        check(signed=signature(base, FORM, "new-token"), path=target)


def test_a_captured_request_stays_valid() -> None:
    captured = signature(URL, FORM, "new-token")
    assert check(signed=captured) == check(signed=captured)  # the signature has no timestamp; intake ignores duplicates


ODD = (("AccountSid", MAIN), ("CallSid", "CA" + "1" * 32))


def odd_signature(*values: bytes) -> str:
    """The signature of a form whose field `Name` has these values, signed over bytes."""
    pairs = [(name.encode(), value.encode()) for name, value in ODD] + [(b"Name", value) for value in values]
    text = URL.encode() + b"".join(name + value for name, value in sorted(set(pairs)))
    return b64encode(hmac.digest(b"new-token", text, "sha1")).decode()


def odd_form(sent: str) -> Pairs:
    return parse_form(f"AccountSid={MAIN}&CallSid={ODD[1][1]}&Name={sent}".encode())


def read(sent: str, signed: str) -> str:
    """The value of `Name` in the verified form."""
    headers = Headers({"x-twilio-signature": signed})
    return dict(verify(ACCOUNTS, PUBLIC_URL, b"/twilio/status", b"", odd_form(sent), headers).form)["Name"]


@pytest.mark.parametrize(
    ("sent", "signed", "stored"),
    [
        ("WIRELESS%00CALLER", b"WIRELESS\0CALLER", "WIRELESS\0CALLER"),
        ("Jos%E9", b"Jos\xe9", "Jos\ufffd"),
        ("Jos%E9", "Jos\ufffd".encode(), "Jos\ufffd"),
        ("Jos%E9", "José".encode(), "José"),
        ("%ED%A0%BD%ED%B8%80", b"\xed\xa0\xbd\xed\xb8\x80", "\ufffd" * 6),
        ("%ED%A0%BD%ED%B8%80", "\ufffd".encode() * 6, "\ufffd" * 6),
        ("%ED%A0%BD%ED%B8%80", "😀".encode(), "😀"),
        ("%ED%A0%BD%FF", "\ufffd".encode() * 4, "\ufffd" * 4),
        ("%C3%A9+100%25+50%", "é 100% 50%".encode(), "é 100% 50%"),
    ],
)
def test_a_form_that_is_not_utf8_is_verified_and_stored_as_it_was_signed(sent: str, signed: bytes, stored: str) -> None:
    assert read(sent, odd_signature(signed)) == stored


@pytest.mark.parametrize("other", ["Jos%EA", "Jos", "Jos%E9%E9", "Jos%C3%AA", "Jos%00"])
def test_other_bytes_than_the_signed_bytes_are_refused(other: str) -> None:
    for signed in (b"Jos\xe9", "José".encode()):
        with pytest.raises(InvalidSignature):
            read(other, odd_signature(signed))


@settings(deadline=None)
@given(signed=st.binary(max_size=8), sent=st.binary(max_size=8))
def test_a_signature_never_verifies_another_text_than_the_signed_text(signed: bytes, sent: bytes) -> None:
    """Every form that verifies is stored with the text that was signed, so an attacker cannot choose another text."""
    try:
        stored = read(quote(sent), odd_signature(signed))
    except InvalidSignature:
        assert signed != sent
        return
    assert stored == signed.decode("utf-8", "replace")
    assert "\ufffd" not in stored or signed == sent or stored.encode() == signed


def test_a_blank_account_beside_the_account_is_ignored() -> None:
    form = (*FORM, ("AccountSid", ""))
    assert check(form, signed=signature(URL, form, "new-token")).account_sid == MAIN
