"""URL and key of a Media Stream. The key proves which call a stream belongs to."""

import hmac

from pydantic import SecretStr

from amd_service.domain import CallSid
from amd_service.errors import InvalidSignature
from amd_service.settings import Account


def stream_url(public_url: str, path: str) -> str:
    """Return the WebSocket URL of a path. The scheme is wss if the public URL is https, otherwise ws."""
    scheme, _, rest = public_url.partition("://")
    return f"{'wss' if scheme.lower() == 'https' else 'ws'}://{rest}{path}"


def stream_key(token: SecretStr, call_sid: CallSid) -> str:
    """Return the key of a call's stream: HMAC-SHA256 of the CallSid with the account's auth token, in hexadecimal.

    The signature of a handshake is the same for every call. So only this key proves which call a stream belongs to.
    """
    return hmac.digest(token.get_secret_value().encode(), call_sid.encode(), "sha256").hex()


def verify_stream_key(account: Account, call_sid: CallSid, key: str | None) -> None:
    """Raise InvalidSignature unless `key` is the call's key for one of the account's tokens."""
    given = (key or "").encode()
    if not any(hmac.compare_digest(stream_key(token, call_sid).encode(), given) for token in account.auth_tokens):
        raise InvalidSignature(
            f"the stream of {call_sid} has {'no parameter key' if key is None else 'a wrong key'}: its TwiML must come "
            "from /twilio/stream.xml"
        )
