"""What is stored of phone numbers, and of what Twilio tells of the people behind them.

Applied before anything is written, so that what must not be kept never was; every writer passes through the intake.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TypeVar

from amd_service.domain import RawCallback, StatusCallback
from amd_service.settings import Settings

T = TypeVar("T")

HASHED = "hmac:"

# Parameters that hold a phone number or address, and those that tell of its owner (twilio.com/docs/voice/api, and
# payloads seen in public projects).
NUMBERS = frozenset({"From", "To", "Caller", "Called", "ForwardedFrom", "CalledVia"})
OWNERS = frozenset({"CallerName", "StirPassportToken"}) | {
    party + place for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip", "Country")
}


@dataclass(frozen=True, slots=True)
class NumberPolicy:
    """`mode`: `keep`, `hash` (HMAC-SHA256 with `key`: equal numbers stay equal) or `drop`."""

    mode: str
    key: bytes = b""

    @classmethod
    def from_settings(cls, settings: Settings) -> "NumberPolicy":
        """The policy of a deployment."""
        key = settings.phone_number_key
        return cls(settings.phone_numbers, b"" if key is None else key.get_secret_value().encode())

    def number(self, number: str | None) -> str | None:
        """What is stored of a number: itself, `hmac:` and 32 hex digits, or nothing."""
        if self.mode == "keep" or not number or number.startswith(HASHED):
            return number
        if self.mode == "drop":
            return None
        return HASHED + hmac.digest(self.key, number.encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]

    def raw(self, raw: RawCallback) -> RawCallback:
        """A request without what must not be stored. Of a dropped value a blank stays."""
        if self.mode == "keep":
            return raw
        return replace(raw, parameters=tuple((name, self._value(name, value)) for name, value in raw.parameters))

    def event(self, event: T) -> T:
        """An event without what must not be stored."""
        if self.mode == "keep" or not isinstance(event, StatusCallback):
            return event
        return replace(event, from_number=self.number(event.from_number), to_number=self.number(event.to_number))

    def _value(self, name: str, value: str) -> str:
        if name in NUMBERS:
            return self.number(value) or ""
        return "" if name in OWNERS else value


KEEP = NumberPolicy("keep")
