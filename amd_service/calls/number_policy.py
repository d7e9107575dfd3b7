"""Which phone numbers and personal details are stored: kept, hashed or dropped.

The policy is applied before anything is written, so a value that must not be kept never reaches the database. Every
writer goes through the intake, which applies it.
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

# Parameters that hold a phone number or address, and parameters about its owner (twilio.com/docs/voice/api, and
# payloads seen in public projects).
NUMBERS = frozenset({"From", "To", "Caller", "Called", "ForwardedFrom", "CalledVia"})
OWNERS = frozenset({"CallerName", "StirPassportToken"}) | {
    party + place for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip", "Country")
}

# Parameters that are always kept: the digits of a SID or a timestamp can look like a number but are none.
PLAIN = frozenset(
    {f"{what}Sid" for what in ("Account", "Call", "Conference", "ParentCall", "Recording")}
    | {f"Recording{what}" for what in ("Channels", "Duration", "Source", "StartTime", "Status", "Track", "Url")}
    | {"AnsweredBy", "ApiVersion", "CallDuration", "CallStatus", "CallbackSource", "Direction", "Duration", "ErrorCode"}
    | {"MachineDetectionDuration", "QueueTime", "SequenceNumber", "SipResponseCode", "StirVerstat", "Timestamp"}
)

# Fields of events, and keys of `callback.facts`, that hold a number.
NUMBER_FACTS = ("from_number", "to_number")

# Undocumented parameters can repeat a number, perhaps inside a text: SIP headers do, and customers' own parameters.
_E164 = re.compile(r"(?:\+|%2B)[1-9]\d{6,14}", re.IGNORECASE)
# The last digits of a number are the same in every spelling, and few numbers have less than six without their country
# code. A shorter suffix would match more and more digits that are not the number.
_SUFFIX_DIGITS = 6
_SCHEME = re.compile(r"^[a-z]+:", re.IGNORECASE)
# Shorter words occur in too many texts that mean something else.
_SHORTEST_WORD = 3

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
    def keeps_numbers(self) -> bool:
        """Whether everything is stored as it arrives."""
        return self.mode == "keep"

    def redact_number(self, number: str | None) -> str | None:
        """The number itself, `hmac:` and 32 hex digits, or None."""
        if self.keeps_numbers or not number:
            return number
        if self.mode == "drop":
            return None
        if _IS_HASHED.fullmatch(number):
            return number
        return HASHED + hmac.digest(self.key, number.encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]

    def redact_request(self, raw: RawCallback) -> RawCallback:
        """The request with redacted parameters."""
        return replace(raw, parameters=self.redact_parameters(raw.parameters))

    def redact_event(self, event: T) -> T:
        """The event with redacted numbers."""
        if self.keeps_numbers or not isinstance(event, StatusCallback):
            return event
        return replace(
            event,
            from_number=self.redact_number(event.from_number),
            to_number=self.redact_number(event.to_number),
        )

    def redact_parameters(self, pairs: Pairs) -> Pairs:
        """Form parameters with redacted values. A dropped value becomes blank; its name stays."""
        if self.keeps_numbers:
            return pairs
        parties = _Parties(value for name, value in pairs if name in NUMBERS)
        return tuple((name, self._redact_value(name, value, parties)) for name, value in pairs)

    def redact_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Stored facts of a callback with redacted numbers. The key of a dropped number is absent."""
        redacted = dict(facts) | {name: self.redact_number(facts.get(name)) for name in NUMBER_FACTS if name in facts}
        return {name: value for name, value in redacted.items() if value is not None}

    def _redact_value(self, name: str, value: str, parties: "_Parties") -> str:
        if name in NUMBERS:
            return self.redact_number(value) or ""
        is_personal = name in OWNERS or _E164.search(value) or (name not in PLAIN and parties.are_in(value))
        return "" if is_personal else value


class _Parties:
    """Caller and called party, to be recognised in other texts by the last digits of their numbers.

    An address with fewer digits (a short code, an extension, the user of a SIP address) is recognised as a whole word.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        # The user of an address: without host, scheme and plus sign.
        without_host = {address.strip().partition("@")[0] for address in addresses if not _IS_HASHED.fullmatch(address)}
        users = {_SCHEME.sub("", address).lstrip("+") for address in without_host}
        self._suffixes = frozenset[str]().union(*map(_suffixes, users))
        words = [re.escape(user) for user in users if not _suffixes(user) and len(user) >= _SHORTEST_WORD]
        self._word = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None

    def are_in(self, text: str) -> bool:
        """Whether the text, as it is or percent-decoded, names one of them."""
        for spelling in (text, unquote(text)):
            digits = _digits(spelling)
            if any(suffix in digits for suffix in self._suffixes):
                return True
            if self._word is not None and self._word.search(spelling):
                return True
        return False


def _suffixes(user: str) -> frozenset[str]:
    """The last digits of a number: of all its digits together and of each run, because an extension may follow."""
    numbers = (_digits(text) for text in (user, *re.findall(r"\d+", user)))
    return frozenset(number[-_SUFFIX_DIGITS:] for number in numbers if len(number) >= _SUFFIX_DIGITS)


def _digits(text: str) -> str:
    """The decimal digits in a text as ASCII, including digits of other scripts."""
    return "".join(str(int(character)) for character in text if character.isdecimal())
