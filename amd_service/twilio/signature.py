"""Is a webhook request really from Twilio?

The algorithm is Twilio's (docs: webhooks security), its implementation the `twilio` package's `RequestValidator`.
This file decides what is handed to it, because most ways of getting a signature wrong lie there.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import parse_qsl, urlparse

from twilio.request_validator import RequestValidator, add_port, remove_port

from amd_service.domain import AccountSid, is_sid
from amd_service.errors import InvalidSignature
from amd_service.settings import Account
from amd_service.twilio.callbacks import MAX_FIELDS
from amd_service.twilio.stream_keys import stream_url

SIGNATURE_HEADER = "x-twilio-signature"
# Names the key and algorithm of the SharedKey beta; without it the auth token and HMAC-SHA1 are meant.
SIGNATURE_SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"


class RequestHeaders(Protocol):
    """Request headers that may repeat; Starlette's `Headers` fits."""

    def getlist(self, key: str) -> list[str]: ...


class SignedForm:
    """Form parameters in the shape `RequestValidator` needs to see every value of a repeated name.

    A plain dict keeps one value a name, and a correctly signed request with a repeated parameter would be refused.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getlist(self, name: str) -> list[str]:
        return self._values[name]


def verify(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    form: Sequence[tuple[str, str]],
    headers: RequestHeaders,
) -> Account:
    """The account whose auth token signed this form POST.

    `raw_path`, `query_string`: as in the ASGI scope. `form`: every decoded parameter in order, blanks
    kept, nothing stripped (`callbacks.parse_form`). The signed URL is `public_url` + `raw_path` + `?query`: never the
    Host header, which the sender chooses. A path prefix in `public_url` is one that a proxy strips before we see it.

    Raises InvalidSignature for whatever is not provably Twilio's, and nothing else. Twilio signs names and values
    without separators, so what is proven is their concatenation; it carries no time either, so a replay is genuine.
    """
    url = _signed_url(public_url, raw_path, query_string)
    signature = _signature(headers)
    account = _account(accounts, form)
    _require_fit(account, url, form, signature)
    return account


def verify_get(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    headers: RequestHeaders,
) -> Account:
    """The account whose auth token signed this GET, whose parameters are in the query. Raises as `verify` does."""
    url = _signed_url(public_url, raw_path, query_string)
    signature = _signature(headers)
    account = _account(accounts, _query(query_string))
    _require_fit(account, url, (), signature)
    return account


def verify_handshake(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    headers: RequestHeaders,
) -> list[Account]:
    """The accounts one of whose tokens signed this WebSocket handshake; never none.

    A handshake does not say whose it is: the stream's `start` message does, and must name one of these. Signed is
    the wss URL, without parameters; Twilio's documentation advises to try it with a slash at the end as well.
    Raises as `verify` does.
    """
    url = _signed_url(public_url and stream_url(public_url, ""), raw_path, query_string)
    signature = _signature(headers).encode()
    urls = _handshake_urls(url)
    fitting = [account for account in accounts.values() if _opens(account, urls, signature)]
    if not fitting:
        raise InvalidSignature(
            f"X-Twilio-Signature does not fit {url.partition('?')[0]} and the auth token of any account: check "
            "AMD_PUBLIC_URL, and that the TwiML's <Stream> names exactly this URL"
        )
    return fitting


def _handshake_urls(url: str) -> list[bytes]:
    """What may have been signed: with a slash at the end or not, and with or without the port, as the package does."""
    path, mark, query = url.partition("?")
    try:
        parsed = [urlparse(candidate) for candidate in (url, f"{path}/{mark}{query}")]
        return [ported(each).encode() for each in parsed for ported in (remove_port, add_port)]
    except ValueError as error:  # a public URL that urlparse cannot split
        raise InvalidSignature(f"the signature cannot be computed: {error}") from error


def _opens(account: Account, urls: Sequence[bytes], signature: bytes) -> bool:
    """As `RequestValidator` would say. Of a thousand accounts each is tried, so only the HMAC is left of it here."""
    keys = [token.get_secret_value().encode() for token in account.auth_tokens]
    computed = (b64encode(hmac.digest(key, url, "sha1")) for key in keys for url in urls)
    return any(hmac.compare_digest(each, signature) for each in computed)


def _require_fit(account: Account, url: str, form: Sequence[tuple[str, str]], signature: str) -> None:
    if not _fits(account, url, form, signature):
        raise InvalidSignature(
            # Without its query: people put secrets there.
            f"X-Twilio-Signature does not fit {url.partition('?')[0]} and the auth token of {account.account_sid}: "
            "check AMD_PUBLIC_URL (exactly what Twilio was given) and TWILIO_AUTH_TOKEN"
        )


def _fits(account: Account, url: str, form: Sequence[tuple[str, str]], signature: str) -> bool:
    parameters = SignedForm(form)
    tokens = [token.get_secret_value() for token in account.auth_tokens]
    try:
        return any(RequestValidator(token).validate(url, parameters, signature) for token in tokens)
    except ValueError as error:  # lone surrogates in the form, or a public URL that urlparse cannot split
        raise InvalidSignature(f"the signature cannot be computed: {error}") from error


def _query(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidSignature(f"the query cannot be read: {error}") from error


def _signed_url(public_url: str | None, raw_path: bytes, query_string: bytes) -> str:
    if public_url is None:
        raise InvalidSignature("AMD_PUBLIC_URL is not set: without it no signature can be checked")
    target = (raw_path + (b"?" + query_string if query_string else b"")).decode("latin-1")
    if not _is_plain(target):
        raise InvalidSignature("the request target is not a plain ASCII path and query")
    # Twilio adds bodySHA256 when it signs a URL in place of a JSON body; it has no business beside a form.
    if b"bodySHA256" in query_string:
        raise InvalidSignature("bodySHA256 belongs to a JSON body; callbacks must be sent as forms")
    return public_url + target


def _is_plain(target: str) -> bool:
    """Whether the validator's urlparse leaves it as it is; two targets must never share a signature.

    urlparse drops tabs, newlines and an empty `;`, `?` or `#`, and takes what does not begin with a slash for a part of
    the host or for a port, with or without which a signature is good.
    """
    printable = target.isascii() and target.isprintable() and " " not in target
    return (
        printable and target.startswith("/") and urlparse(f"https://host{target}").geturl() == f"https://host{target}"
    )


def _signature(headers: RequestHeaders) -> str:
    if headers.getlist(SIGNATURE_SETTINGS_HEADER):
        raise InvalidSignature(
            "the callback is signed with a Twilio SharedKey (X-Twilio-Webhooks-Signature-Settings), which is not "
            "supported: switch SharedKey signing off for this webhook so that the auth token signs it"
        )
    found = headers.getlist(SIGNATURE_HEADER)
    if len(found) != 1:
        raise InvalidSignature(f"X-Twilio-Signature must be there once; it was there {len(found)} times")
    if not found[0].isascii():
        raise InvalidSignature("X-Twilio-Signature is not ASCII")
    return found[0]


def _account(accounts: Mapping[AccountSid, Account], form: Sequence[tuple[str, str]]) -> Account:
    claimed = {value for name, value in form if name == "AccountSid"}
    if len(claimed) != 1:
        raise InvalidSignature(f"one AccountSid was expected; there are {len(claimed)}")
    (sid,) = claimed
    if not is_sid(sid, "AC"):  # before it is looked up or logged
        raise InvalidSignature("AccountSid is not AC followed by 32 hexadecimal digits")
    account = accounts.get(AccountSid(sid))
    if account is None:
        raise InvalidSignature(
            f"account {sid} is not configured: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or add it to "
            "AMD_ACCOUNTS_FILE (subaccounts sign with their own token)"
        )
    return account
