"""What is stored of phone numbers, and of what Twilio tells of the people behind them.

Applied before anything is written, so that what must not be kept never was; every writer passes through the intake.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from amd_service.domain import RawCallback, StatusCallback
from amd_service.settings import Settings

T = TypeVar("T")

HASHED = "hmac:"
_IS_HASHED = re.compile(HASHED + "[0-9a-f]{32}")

# Parameters that hold a phone number or address, and those that tell of its owner (twilio.com/docs/voice/api, and
# payloads seen in public projects).
NUMBERS = frozenset({"From", "To", "Caller", "Called", "ForwardedFrom", "CalledVia"})
OWNERS = frozenset({"CallerName", "StirPassportToken"}) | {
    party + place for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip", "Country")
}

# What was understood of a callback and holds a number: fields of the events, keys of `callback.facts`.
NUMBER_FACTS = ("from_number", "to_number")

# Parameters we have not heard of may repeat a number (SIP headers do, and a customer's own), perhaps inside a text.
_E164 = re.compile(r"(?:\+|%2B)[1-9]\d{6,14}", re.IGNORECASE)
_LEAST_DIGITS = 7

Pairs = tuple[tuple[str, str], ...]


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

    @property
    def keeps(self) -> bool:
        """Whether everything is stored as it comes."""
        return self.mode == "keep"

    def number(self, number: str | None) -> str | None:
        """What is stored of a number: itself, `hmac:` and 32 hex digits, or nothing."""
        if self.keeps or not number:
            return number
        if self.mode == "drop":
            return None
        if _IS_HASHED.fullmatch(number):
            return number
        return HASHED + hmac.digest(self.key, number.encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]

    def raw(self, raw: RawCallback) -> RawCallback:
        """A request without what must not be stored. Of a dropped value a blank stays."""
        return replace(raw, parameters=self.parameters(raw.parameters))

    def event(self, event: T) -> T:
        """An event without what must not be stored."""
        if self.keeps or not isinstance(event, StatusCallback):
            return event
        return replace(event, from_number=self.number(event.from_number), to_number=self.number(event.to_number))

    def parameters(self, pairs: Pairs) -> Pairs:
        """Form parameters without what must not be stored."""
        if self.keeps:
            return pairs
        digits = _digits(value for name, value in pairs if name in NUMBERS)
        return tuple((name, self._value(name, value, digits)) for name, value in pairs)

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Stored facts of a callback without what must not be stored; a dropped one is absent."""
        changed = {name: self.number(facts.get(name)) for name in NUMBER_FACTS}
        return {name: changed.get(name, value) for name, value in facts.items() if changed.get(name, value) is not None}

    def _value(self, name: str, value: str, digits: frozenset[str]) -> str:
        if name in NUMBERS:
            return self.number(value) or ""
        tells = name in OWNERS or _E164.search(value) or any(number in value for number in digits)
        return "" if tells else value


def _digits(numbers: Iterable[str]) -> frozenset[str]:
    """The digits of each number or address, together and in runs: as they may be repeated elsewhere."""
    found: set[str] = set()
    for number in numbers:
        if not _IS_HASHED.fullmatch(number):
            found |= {re.sub(r"\D", "", number), *re.findall(r"\d+", number)}
    return frozenset(digits for digits in found if len(digits) >= _LEAST_DIGITS)
