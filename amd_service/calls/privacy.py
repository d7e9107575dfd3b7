"""What is stored of phone numbers, and of what Twilio tells of the people behind them.

Applied before anything is written, so that what must not be kept never was; every writer passes through the intake.
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

# Parameters that hold a phone number or address, and those that tell of its owner (twilio.com/docs/voice/api, and
# payloads seen in public projects).
NUMBERS = frozenset({"From", "To", "Caller", "Called", "ForwardedFrom", "CalledVia"})
OWNERS = frozenset({"CallerName", "StirPassportToken"}) | {
    party + place for party in ("From", "To", "Caller", "Called") for place in ("City", "State", "Zip", "Country")
}

# Parameters that hold neither, and are kept: the digits of a SID or of a moment are nobody's number.
PLAIN = frozenset(
    {f"{what}Sid" for what in ("Account", "Call", "Conference", "ParentCall", "Recording")}
    | {f"Recording{what}" for what in ("Channels", "Duration", "Source", "StartTime", "Status", "Track", "Url")}
    | {"AnsweredBy", "ApiVersion", "CallDuration", "CallStatus", "CallbackSource", "Direction", "Duration", "ErrorCode"}
    | {"MachineDetectionDuration", "QueueTime", "SequenceNumber", "SipResponseCode", "StirVerstat", "Timestamp"}
)

# What was understood of a callback and holds a number: fields of the events, keys of `callback.facts`.
NUMBER_FACTS = ("from_number", "to_number")

# Parameters we have not heard of may repeat a number (SIP headers do, and a customer's own), perhaps inside a text.
_E164 = re.compile(r"(?:\+|%2B)[1-9]\d{6,14}", re.IGNORECASE)
# However a number is spelt, its last digits stay, and few have less than these without their country's code. With
# fewer, ever more that is no number would be taken for one.
_LAST_DIGITS = 6
# What is shorter stands in too many texts that mean something else.
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
        parties = _Parties(value for name, value in pairs if name in NUMBERS)
        return tuple((name, self._value(name, value, parties)) for name, value in pairs)

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Stored facts of a callback without what must not be stored; a dropped one is absent."""
        changed = {name: self.number(facts.get(name)) for name in NUMBER_FACTS}
        return {name: changed.get(name, value) for name, value in facts.items() if changed.get(name, value) is not None}

    def _value(self, name: str, value: str, parties: "_Parties") -> str:
        if name in NUMBERS:
            return self.number(value) or ""
        tells = name in OWNERS or _E164.search(value) or (name not in PLAIN and parties.are_in(value))
        return "" if tells else value


class _Parties:
    """Who is calling whom, to be recognised in other texts: by the last digits of a number, in whatever spelling.

    What has fewer digits (a short code, an extension, the user of a SIP address) is recognised as a word of its own.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        users = {_user(address) for address in addresses if not _IS_HASHED.fullmatch(address)}
        self._ends = frozenset[str]().union(*map(_ends, users))
        words = [re.escape(user) for user in users if not _ends(user) and len(user) >= _SHORTEST_WORD]
        self._word = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None

    def are_in(self, text: str) -> bool:
        """Whether the text, as it is or percent-encoded, names one of them."""
        return any(self._is_in(spelling) for spelling in (text, unquote(text)))

    def _is_in(self, text: str) -> bool:
        digits = _digits(text)
        by_number = any(end in digits for end in self._ends)
        return by_number or (self._word is not None and self._word.search(text) is not None)


def _user(address: str) -> str:
    """What names a party in an address: no host, and nothing in front that all addresses of a kind have."""
    return re.sub(r"^[a-z]+:", "", address.strip().partition("@")[0], flags=re.IGNORECASE).lstrip("+")


def _ends(user: str) -> frozenset[str]:
    """The last digits of a number: of all its digits together and of each run, as an extension may follow."""
    numbers = (_digits(text) for text in (user, *re.findall(r"\d+", user)))
    return frozenset(number[-_LAST_DIGITS:] for number in numbers if len(number) >= _LAST_DIGITS)


def _digits(text: str) -> str:
    """The decimal digits in a text, those of other scripts as well, as ASCII."""
    return "".join(str(int(character)) for character in text if character.isdecimal())
