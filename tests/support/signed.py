"""Requests that are signed with Twilio's algorithm."""

from base64 import b64encode
from hashlib import sha1
from hmac import new as hmac

from pydantic import SecretStr
from starlette.datastructures import Headers

from amd_service.domain import AccountSid
from amd_service.settings import Account
from amd_service.twilio.signature import verify

Pairs = tuple[tuple[str, str], ...]

PUBLIC_URL = "https://amd.example.com"
PATH = b"/twilio/status"
MAIN = AccountSid("AC" + "a" * 32)
SUB = AccountSid("AC" + "b" * 32)
# MAIN has both tokens of a rotation, and the token of another region.
ACCOUNTS = {
    MAIN: Account(
        account_sid=MAIN, auth_tokens=[SecretStr("new-token"), SecretStr("old-token"), SecretStr("ie1-token")]
    ),
    SUB: Account(account_sid=SUB, auth_tokens=[SecretStr("sub-token")]),
}
FORM: Pairs = (
    ("CallSid", "CA" + "1" * 32),
    ("AccountSid", MAIN),
    ("CallStatus", "completed"),
    ("To", "+15005550006"),
    ("CallerName", ""),
    ("ToCity", " SAN JOSÉ "),
)


def canonical(form: Pairs) -> str:
    """The signed text of the parameters: sorted, without duplicates, names and values concatenated."""
    return "".join(name + value for name, value in sorted(set(form)))


def signature(url: str, form: Pairs, token: str) -> str:
    """Twilio's algorithm, written a second time from Twilio's documentation."""
    return b64encode(hmac(token.encode(), (url + canonical(form)).encode(), sha1).digest()).decode()


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
    return verify(ACCOUNTS, public_url, path, query, form, Headers(raw=[*own, *extra])).account
