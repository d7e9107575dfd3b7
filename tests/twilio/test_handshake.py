"""Signatures of WebSocket handshakes and of GET requests for TwiML."""

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
from amd_service.errors import InvalidSignature
from amd_service.settings import Account
from amd_service.twilio.callbacks import MAX_FIELDS
from amd_service.twilio.signature import verify_get, verify_handshake

PUBLIC_URL = "https://amd.example.com"
MEDIA = b"/twilio/media"
SIGNED_URL = "wss://amd.example.com/twilio/media"
MAIN = AccountSid("AC" + "a" * 32)
SUB = AccountSid("AC" + "b" * 32)
TWIN = AccountSid("AC" + "c" * 32)
ACCOUNTS = {
    MAIN: Account(account_sid=MAIN, auth_tokens=[SecretStr("new-token"), SecretStr("old-token")]),
    SUB: Account(account_sid=SUB, auth_tokens=[SecretStr("sub-token")]),
    TWIN: Account(account_sid=TWIN, auth_tokens=[SecretStr("sub-token")]),
}


def signature(url: str, token: str) -> str:
    """A second implementation of Twilio's algorithm, for requests without parameters."""
    return b64encode(hmac(token.encode(), url.encode(), sha1).digest()).decode()


def header(signed: str | None) -> Headers:
    return Headers(raw=[] if signed is None else [(b"x-twilio-signature", signed.encode("latin-1"))])


def verify_signers(
    signed: str | None, *, public_url: str | None = PUBLIC_URL, path: bytes = MEDIA, query: bytes = b""
) -> set[AccountSid]:
    signers = verify_handshake(ACCOUNTS, public_url, path, query, header(signed))
    return {account.account_sid for account in signers}


def get(signed: str | None, query: bytes, *, path: bytes = b"/twilio/stream.xml") -> AccountSid:
    return verify_get(ACCOUNTS, PUBLIC_URL, path, query, header(signed)).account_sid


@pytest.mark.parametrize("token", ["new-token", "old-token"])
def test_a_handshake_matches_the_account_whose_token_signed_it(token: str) -> None:
    assert verify_signers(signature(SIGNED_URL, token)) == {MAIN}


def test_a_shared_token_matches_all_its_accounts() -> None:
    assert verify_signers(signature(SIGNED_URL, "sub-token")) == {SUB, TWIN}


def test_the_signed_url_may_end_in_a_slash() -> None:
    assert verify_signers(signature(SIGNED_URL + "/", "new-token")) == {MAIN}


@pytest.mark.parametrize(
    ("public_url", "signing"),
    [
        ("https://amd.example.com:8443", "wss://amd.example.com:8443"),
        ("https://amd.example.com:8443", "wss://amd.example.com"),
        ("https://amd.example.com:443", "wss://amd.example.com"),
        ("HTTPS://amd.example.com", "wss://amd.example.com"),
        ("http://localhost:8080", "ws://localhost:8080"),
        ("https://amd.example.com/prefix", "wss://amd.example.com/prefix"),
    ],
)
def test_scheme_port_and_prefix_come_from_the_public_url(public_url: str, signing: str) -> None:
    assert verify_signers(signature(signing + "/twilio/media", "new-token"), public_url=public_url) == {MAIN}


@pytest.mark.parametrize(
    "url",
    [
        "https://amd.example.com/twilio/media",
        "ws://amd.example.com/twilio/media",
        "wss://evil.example/twilio/media",
        "wss://amd.example.com/twilio/media?x=1",
        "wss://amd.example.com/twilio/media//",
        "wss://amd.example.com/twilio",
    ],
)
def test_a_signature_over_another_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidSignature):
        verify_signers(signature(url, "new-token"))


@pytest.mark.parametrize("signed", [None, "", "AAAA", "signatüre", "A" * 28, signature(SIGNED_URL, "wrong token")])
def test_a_missing_or_wrong_signature_is_refused(signed: str | None) -> None:
    with pytest.raises(InvalidSignature):
        verify_signers(signed)


@pytest.mark.parametrize("public_url", [None, "https://[::1", "https://amd.example.com:port"])
def test_every_handshake_is_refused_without_a_valid_public_url(public_url: str | None) -> None:
    with pytest.raises(InvalidSignature):
        verify_signers(signature(SIGNED_URL, "new-token"), public_url=public_url)


def test_a_shared_key_handshake_is_refused_and_the_error_names_the_cause() -> None:
    raw = [
        (b"x-twilio-signature", signature(SIGNED_URL, "new-token").encode()),
        (b"x-twilio-webhooks-signature-settings", b"key=1,algorithm=HMAC_SHA256"),
    ]
    with pytest.raises(InvalidSignature, match="SharedKey"):
        verify_handshake(ACCOUNTS, PUBLIC_URL, MEDIA, b"", Headers(raw=raw))


def test_the_query_of_a_get_is_signed_without_decoding() -> None:
    query = f"AccountSid={MAIN}&From=%2B15005550006&CallerName="
    signed = signature(f"{PUBLIC_URL}/twilio/stream.xml?{query}", "new-token")
    assert get(signed, query.encode()) == MAIN
    with pytest.raises(InvalidSignature):
        get(signed, query.replace("%2B", "+").encode())
    with pytest.raises(InvalidSignature):
        get(signed, query.encode(), path=b"/twilio/other")


@pytest.mark.parametrize(
    "query",
    ["", "AccountSid=", f"AccountSid={MAIN}&AccountSid={SUB}", "AccountSid=AC" + "d" * 32, "&" * (MAX_FIELDS + 1)],
    ids=["absent", "blank", "two", "unknown", "too many"],
)
def test_a_get_must_name_one_known_account(query: str) -> None:
    url = f"{PUBLIC_URL}/twilio/stream.xml" + (f"?{query}" if query else "")
    with pytest.raises(InvalidSignature):
        get(signature(url, "new-token"), query.encode())


def test_a_get_with_a_body_hash_is_refused() -> None:
    query = f"AccountSid={MAIN}&bodySHA256={'0' * 64}"
    with pytest.raises(InvalidSignature):
        get(signature(f"{PUBLIC_URL}/twilio/stream.xml?{query}", "new-token"), query.encode())


SEGMENTS = st.text("abcXYZ019-._~%", max_size=10)
QUERIES = st.text("abcXYZ019-._~%+=&", max_size=20)
FORMS = st.lists(st.tuples(st.text("abcé +&=", max_size=5), st.text("xyzü +&=", max_size=5)), max_size=5)


@settings(deadline=None)
@given(form=FORMS)
def test_a_get_signed_by_the_package_is_accepted(form: list[tuple[str, str]]) -> None:
    query = urlencode([("AccountSid", MAIN), *form])
    signed = RequestValidator("new-token").compute_signature(f"{PUBLIC_URL}/twilio/stream.xml?{query}", {})
    assert get(signed, query.encode()) == MAIN


@settings(deadline=None)
@given(path=SEGMENTS, query=QUERIES, other_path=SEGMENTS, other_query=QUERIES)
def test_a_handshake_signature_is_valid_for_one_url_only(
    path: str, query: str, other_path: str, other_query: str
) -> None:
    signed = RequestValidator("sub-token").compute_signature(_target(f"wss://amd.example.com/{path}", query), {})
    assert verify_signers(signed, path=f"/{path}".encode(), query=query.encode()) == {SUB, TWIN}
    wanted = _target("/" + path, query)
    assume(wanted not in (_target("/" + other_path, other_query), _target(f"/{other_path}/", other_query)))
    with pytest.raises(InvalidSignature):
        verify_signers(signed, path=f"/{other_path}".encode(), query=other_query.encode())


HOSTS = st.sampled_from(["amd.example.com", "amd.example.com:443", "amd.example.com:8443", "[::1]", "[::1]:80"])
SIGNED = st.tuples(st.sampled_from(["ws", "wss"]), HOSTS, st.sampled_from(["/", "/a", "/a/", "/a?b", "/a/?b", "/a//"]))


@settings(deadline=None, max_examples=300)
@given(requested=SIGNED, signed=SIGNED)
def test_handshakes_are_accepted_exactly_when_the_package_accepts_them(
    requested: tuple[str, str, str], signed: tuple[str, str, str]
) -> None:
    scheme, host, target = requested
    path, _, query = target.partition("?")
    sent = signature("{}://{}{}".format(*signed), "new-token")
    urls = (f"{scheme}://{host}{target}", _target(f"{scheme}://{host}{path}/", query))
    public_url = f"{'https' if scheme == 'wss' else 'http'}://{host}"
    if any(RequestValidator("new-token").validate(url, {}, sent) for url in urls):
        assert verify_signers(sent, public_url=public_url, path=path.encode(), query=query.encode()) == {MAIN}
    else:
        with pytest.raises(InvalidSignature):
            verify_signers(sent, public_url=public_url, path=path.encode(), query=query.encode())


@settings(deadline=None)
@given(path=st.binary(max_size=20), query=st.binary(max_size=20), sent=st.binary(max_size=40))
def test_arbitrary_handshakes_raise_only_invalid_signature(path: bytes, query: bytes, sent: bytes) -> None:
    headers = Headers(raw=[(b"x-twilio-signature", sent)])
    with pytest.raises(InvalidSignature):
        verify_handshake(ACCOUNTS, PUBLIC_URL, path, query, headers)
    with pytest.raises(InvalidSignature):
        verify_get(ACCOUNTS, PUBLIC_URL, path, query, headers)


def _target(path: str, query: str) -> str:
    return path + (f"?{query}" if query else "")
