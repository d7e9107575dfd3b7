"""What the TwiML of a stream holds: where the stream goes, and what it shows there for its call."""

import hmac

from pydantic import SecretStr

from amd_service.domain import CallSid
from amd_service.errors import InvalidSignature
from amd_service.settings import Account


def stream_url(public_url: str, path: str) -> str:
    """The WebSocket URL of a path: wss, or ws where the public URL is plain http."""
    scheme, _, rest = public_url.partition("://")
    return f"{'wss' if scheme.lower() == 'https' else 'ws'}://{rest}{path}"


def stream_key(token: SecretStr, call_sid: CallSid) -> str:
    """What a stream shows for its call: HMAC-SHA256 of the CallSid under the account's auth token, hexadecimal.

    A handshake's signature is the same for every call; this is what ties a stream to one.
    """
    return hmac.digest(token.get_secret_value().encode(), call_sid.encode(), "sha256").hex()


def verify_stream_key(account: Account, call_sid: CallSid, key: str | None) -> None:
    """Raises InvalidSignature unless `key` is the call's, under any of the account's tokens."""
    shown = (key or "").encode()
    if not any(hmac.compare_digest(stream_key(token, call_sid).encode(), shown) for token in account.auth_tokens):
        raise InvalidSignature(
            f"the stream of {call_sid} {'lacks the parameter key' if key is None else 'shows a wrong key'}: let its "
            "TwiML come from /twilio/stream.xml"
        )
