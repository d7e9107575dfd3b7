"""The policy for phone numbers and personal details: keep, hash or drop them.

The intake, which writes all callbacks, applies the policy before it writes. A value that must not be kept therefore
never reaches the database.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import unquote

from amd_service.domain import RawCallback, StatusCallback
from amd_service.settings import Settings

T = TypeVar("T")

HASHED = "hmac:"
_IS_HASHED = re.compile(HASHED + "[0-9a-f]{32}")

# NUMBERS: parameters that hold a phone number or address. OWNERS: parameters about the owner of the number. Sources:
# twilio.com/docs/voice/api, and payloads in public projects.
NUMBERS = frozenset({"From", "To", "Caller", "Called", "ForwardedFrom", "CalledVia"})
OWNERS = frozenset({"CallerName", "StirPassportToken"}) | {
    party + place for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip", "Country")
}

# Parameters that are always kept. The digits in a SID or a timestamp can look like a phone number.
PLAIN = frozenset(
    {f"{what}Sid" for what in ("Account", "Call", "Conference", "ParentCall", "Recording")}
    | {f"Recording{what}" for what in ("Channels", "Duration", "Source", "StartTime", "Status", "Track", "Url")}
    | {"AnsweredBy", "ApiVersion", "CallDuration", "CallStatus", "CallbackSource", "Direction", "Duration", "ErrorCode"}
    | {"MachineDetectionDuration", "QueueTime", "SequenceNumber", "SipResponseCode", "StirVerstat", "Timestamp"}
)

# Fields of events, and keys of `callback.facts`, that hold a number.
NUMBER_FACTS = ("from_number", "to_number")

# Undocumented parameters can repeat a phone number, also inside a text. Examples are SIP headers and custom parameters.
_E164 = re.compile(r"(?:\+|%2B)[1-9]\d{6,14}", re.IGNORECASE)
# A number is recognised by its last digits, which are the same in every spelling of the number. Few numbers have fewer
# than six digits without the country code. A shorter suffix would match too many unrelated digits.
_SUFFIX_DIGITS = 6
_SCHEME = re.compile(r"^[a-z]+:", re.IGNORECASE)
# Minimum length, in characters, of an address that is recognised as a word. Shorter words occur in too many unrelated
# texts.
_SHORTEST_WORD = 3

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NumberPolicy:
    """`mode`: `keep`, `drop`, or `hash` (HMAC-SHA256 with `key`, so equal numbers have equal hashes)."""

    mode: str
    key: bytes = b""

    @classmethod
    def from_settings(cls, settings: Settings) -> "NumberPolicy":
        """Return the policy that the settings define."""
        key = settings.phone_number_key
        return cls(settings.phone_numbers, b"" if key is None else key.get_secret_value().encode())

    @property
    def keeps_numbers(self) -> bool:
        """Whether all values are stored unchanged."""
        return self.mode == "keep"

    def redact_number(self, number: str | None) -> str | None:
        """Return the number unchanged, or `hmac:` and 32 hex digits, or None."""
        if self.keeps_numbers or not number:
            return number
        if self.mode == "drop":
            return None
        if _IS_HASHED.fullmatch(number):
            return number
        return HASHED + hmac.digest(self.key, number.encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]

    def redact_request(self, raw: RawCallback) -> RawCallback:
        """Return a copy of the request with redacted parameters."""
        return raw if self.keeps_numbers else replace(raw, parameters=self.redact_parameters(raw.parameters))

    def redact_event(self, event: T) -> T:
        """Return a copy of the event with redacted numbers."""
        if self.keeps_numbers or not isinstance(event, StatusCallback):
            return event
        return replace(
            event,
            from_number=self.redact_number(event.from_number),
            to_number=self.redact_number(event.to_number),
        )

    def redact_parameters(self, pairs: Pairs) -> Pairs:
        """Form parameters with redacted values. A dropped value becomes an empty string, and its name stays."""
        if self.keeps_numbers:
            return pairs
        parties = _Parties(value for name, value in pairs if name in NUMBERS)
        return tuple((name, self._redact_value(name, value, parties)) for name, value in pairs)

    def redact_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Stored facts of a callback with redacted numbers. A dropped number loses its key too."""
        redacted = dict(facts) | {name: self.redact_number(facts.get(name)) for name in NUMBER_FACTS if name in facts}
        return {name: value for name, value in redacted.items() if value is not None}

    def _redact_value(self, name: str, value: str, parties: "_Parties") -> str:
        if name in NUMBERS:
            return self.redact_number(value) or ""
        is_personal = name in OWNERS or _E164.search(value) or (name not in PLAIN and parties.are_in(value))
        return "" if is_personal else value


class _Parties:
    """Recognises caller and called party in other texts by the last digits of their phone numbers.

    An address with fewer than six digits is recognised as a whole word. Examples are a short code, an extension, and
    the user part of a SIP address.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        # The user part of an address has no host, no scheme and no plus sign.
        without_host = {address.strip().partition("@")[0] for address in addresses if not _IS_HASHED.fullmatch(address)}
        users = {_SCHEME.sub("", address).lstrip("+") for address in without_host}
        self._suffixes = frozenset[str]().union(*map(_suffixes, users))
        words = [re.escape(user) for user in users if not _suffixes(user) and len(user) >= _SHORTEST_WORD]
        self._word = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None

    def are_in(self, text: str) -> bool:
        """Return whether the text, unchanged or percent-decoded, contains one of the parties."""
        for spelling in (text, unquote(text)):
            digits = _digits(spelling)
            if any(suffix in digits for suffix in self._suffixes):
                return True
            if self._word is not None and self._word.search(spelling):
                return True
        return False


def _suffixes(user: str) -> frozenset[str]:
    """Return the last digits of the whole text, and of each group of digits.

    An extension may follow the number.
    """
    numbers = (_digits(text) for text in (user, *re.findall(r"\d+", user)))
    return frozenset(number[-_SUFFIX_DIGITS:] for number in numbers if len(number) >= _SUFFIX_DIGITS)


def _digits(text: str) -> str:
    """Return the decimal digits in a text, as ASCII. Digits of other scripts (such as Arabic) are converted."""
    return "".join(str(int(character)) for character in text if character.isdecimal())
