"""Verify that a request comes from Twilio.

Twilio's algorithm (docs: webhooks security) is HMAC-SHA1 over the URL and the sorted names and values of the form.
`RequestValidator` of the `twilio` package implements the algorithm too, but only for forms that are valid UTF-8. The
tests compare both implementations.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlparse

from twilio.request_validator import add_port, remove_port

from amd_service.domain import AccountSid, is_sid
from amd_service.errors import InvalidSignature, VerificationNotConfigured
from amd_service.settings import Account
from amd_service.twilio.callbacks import MAX_FIELDS
from amd_service.twilio.encodings import Form, possible_readings
from amd_service.twilio.stream_keys import stream_url

SIGNATURE_HEADER = "x-twilio-signature"
# This header names the key and algorithm of a SharedKey signature (beta). Requests without this header are signed with
# the auth token and HMAC-SHA1.
SIGNATURE_SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"


class RequestHeaders(Protocol):
    """Request headers, in which a name can be repeated. Starlette's `Headers` implements this protocol."""

    def getlist(self, key: str) -> list[str]: ...


class SignedForm:
    """Form parameters for `RequestValidator`, with every value of a repeated name.

    A dict keeps only one value per name. With a dict, the validator would sign only one value of a repeated parameter.
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


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A verified form POST. `form`: the decoded parameters, with U+FFFD in place of bytes that are not UTF-8."""

    account: Account
    form: Form


def verify(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    form: Sequence[tuple[str, str]],
    headers: RequestHeaders,
) -> SignedRequest:
    """Return the account whose auth token signed this form POST, and the signed form. Raises only InvalidSignature.

    `raw_path`, `query_string`: from the ASGI scope. `form`: all decoded parameters in order, with blank values and
    spaces (`callbacks.parse_form`). The signed URL is `public_url` + `raw_path` + `?query`. The Host header is ignored,
    because the sender chooses it. If a proxy strips a path prefix, `public_url` must include the prefix.

    Twilio signs names and values without separators, so a signature proves only their concatenation. The signature has
    no timestamp, so a replayed request is valid.
    """
    url = _signed_url(public_url, raw_path, query_string)
    signature = _read_signature(headers)
    account = _find_account(accounts, form)
    return SignedRequest(account, _check_signature(account, url, form, signature))


def verify_get(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    headers: RequestHeaders,
) -> Account:
    """Return the account whose auth token signed this GET. The parameters are in the query. Raises as `verify`."""
    url = _signed_url(public_url, raw_path, query_string)
    signature = _read_signature(headers)
    try:
        parameters = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidSignature(f"the query cannot be parsed: {error}") from error
    account = _find_account(accounts, parameters)
    _check_signature(account, url, (), signature)
    return account


def verify_handshake(
    accounts: Mapping[AccountSid, Account],
    public_url: str | None,
    raw_path: bytes,
    query_string: bytes,
    headers: RequestHeaders,
) -> list[Account]:
    """Return the accounts with a token that matches the signature of this WebSocket handshake. Raises as `verify`.

    The result is never empty. A handshake does not name its account, but the stream's `start` message does. The caller
    must check that the named account is in the result. The wss URL is signed without parameters. Twilio's documentation
    advises to also try the URL with a trailing slash.
    """
    url = _signed_url(public_url and stream_url(public_url, ""), raw_path, query_string)
    path, mark, query = url.partition("?")
    signature = _read_signature(headers)
    try:
        urls = [*_with_and_without_port(url), *_with_and_without_port(f"{path}/{mark}{query}")]
    except ValueError as error:  # urlparse cannot split the public URL
        raise InvalidSignature(f"the signature cannot be computed: {error}") from error
    signers = [account for account in accounts.values() if any(_is_signed(account, each, signature) for each in urls)]
    if not signers:
        raise InvalidSignature(
            f"X-Twilio-Signature matches no account's auth token for {path}: check AMD_PUBLIC_URL "
            "and that the TwiML's <Stream> has exactly this URL"
        )
    return signers


def _check_signature(account: Account, url: str, form: Sequence[tuple[str, str]], signature: str) -> Form:
    """Return the form as text that can be stored. Raises InvalidSignature."""
    try:
        urls = _with_and_without_port(url)
        for signed, text in possible_readings(form):
            if any(_is_signed(account, each + _signed_text(signed), signature) for each in urls):
                return text
    except ValueError as error:  # the form has lone surrogates, or urlparse cannot split the public URL
        raise InvalidSignature(f"the signature cannot be computed: {error}") from error
    raise InvalidSignature(
        # The message omits the query, because a query may contain secrets.
        f"X-Twilio-Signature does not match {url.partition('?')[0]} and the auth token of {account.account_sid}: "
        "check AMD_PUBLIC_URL (exactly the base URL that Twilio uses) and TWILIO_AUTH_TOKEN"
    )


def _with_and_without_port(url: str) -> list[bytes]:
    """Return the URLs that Twilio may have signed. Raises ValueError if urlparse cannot split the URL."""
    parsed = urlparse(url)
    return [remove_port(parsed).encode(), add_port(parsed).encode()]


def _signed_text(form: Sequence[tuple[str, str]]) -> bytes:
    """Return the sorted names and values. A pair that is repeated is signed once."""
    pairs = {(name.encode(errors="surrogateescape"), value.encode(errors="surrogateescape")) for name, value in form}
    return b"".join(name + value for name, value in sorted(pairs))


def _is_signed(account: Account, text: bytes, signature: str) -> bool:
    """Whether one of the account's auth tokens signed the text."""
    # Compute only the HMAC, because the whole RequestValidator is slow with a thousand accounts.
    return any(
        hmac.compare_digest(b64encode(hmac.digest(token.get_secret_value().encode(), text, "sha1")), signature.encode())
        for token in account.auth_tokens
    )


def _signed_url(public_url: str | None, raw_path: bytes, query_string: bytes) -> str:
    if public_url is None:
        raise VerificationNotConfigured("AMD_PUBLIC_URL is not set: signatures cannot be checked without it")
    target = (raw_path + (b"?" + query_string if query_string else b"")).decode("latin-1")
    if not _is_plain(target):
        raise InvalidSignature("the request target is not a plain ASCII path and query")
    # Twilio adds bodySHA256 to the URL when it signs a JSON body. The URL of a form must not have this parameter.
    if b"bodySHA256" in query_string:
        raise InvalidSignature("bodySHA256 belongs to a JSON body; callbacks must be sent as forms")
    return public_url + target


def _is_plain(target: str) -> bool:
    """Whether urlparse keeps the target unchanged. If not, two targets can share a signature.

    urlparse drops tabs, newlines and an empty `;`, `?` or `#`. urlparse also reads a target without a leading slash as
    a part of the host or as a port, and signatures with and without the port are accepted.
    """
    printable = target.isascii() and target.isprintable() and " " not in target
    return (
        printable and target.startswith("/") and urlparse(f"https://host{target}").geturl() == f"https://host{target}"
    )


def _read_signature(headers: RequestHeaders) -> str:
    if headers.getlist(SIGNATURE_SETTINGS_HEADER):
        raise InvalidSignature(
            "SharedKey signatures (X-Twilio-Webhooks-Signature-Settings) are not supported: switch SharedKey signing "
            "off for this webhook, so that Twilio signs with the auth token"
        )
    found = headers.getlist(SIGNATURE_HEADER)
    if len(found) != 1:
        raise InvalidSignature(f"X-Twilio-Signature must be sent once; it was sent {len(found)} times")
    if not found[0].isascii():
        raise InvalidSignature("X-Twilio-Signature is not ASCII")
    return found[0]


def _find_account(accounts: Mapping[AccountSid, Account], parameters: Sequence[tuple[str, str]]) -> Account:
    if not accounts:
        raise VerificationNotConfigured(
            "no account is configured: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE"
        )
    claimed = {value for name, value in parameters if name == "AccountSid" and value}
    if len(claimed) != 1:
        raise InvalidSignature(f"the request must have one AccountSid; it has {len(claimed)}")
    (sid,) = claimed
    if not is_sid(sid, "AC"):  # a malformed SID must not be logged
        raise InvalidSignature("AccountSid is not AC followed by 32 hexadecimal digits")
    account = accounts.get(AccountSid(sid))
    if account is None:
        raise InvalidSignature(
            f"account {sid} is not configured: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or add it to "
            "AMD_ACCOUNTS_FILE (subaccounts sign with their own token)"
        )
    return account
