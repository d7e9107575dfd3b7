"""Finds the stored forms of a phone number that a person typed."""

import re

from amd_service.calls.number_policy import NumberPolicy

# A number as people write it: digits, perhaps with `+`, spaces, dashes, dots, slashes and parentheses.
_WRITTEN = re.compile(r"\+?(?=\D*\d)[\d\s()./\u2010-\u2015-]+", re.ASCII)
# Addresses that Twilio sends in place of a number: `sip:alice@example.com`, `client:alice`, and a hashed number.
_ADDRESS = re.compile(r"[a-z]+:\S+")

_NATIONAL_NUMBER_DIGITS = 10


def is_number(text: str) -> bool:
    """Whether a text looks like a phone number or another address of a called party."""
    return bool(_WRITTEN.fullmatch(text) or _ADDRESS.fullmatch(text))


def stored_forms(text: str, numbers: NumberPolicy) -> list[str]:
    """Return the values that the policy stores for a number in any spelling.

    Twilio sends E.164, so the number needs its country code: `+44 20 7946 0000`, `0044…` and `4420…` are found, but
    `020 7946 0000` is not. A number with ten digits is also searched with the country code 1. The list is empty if the
    policy stores no numbers.
    """
    spellings = [text]
    if _WRITTEN.fullmatch(text):
        digits = re.sub(r"\D", "", text)
        spellings += [digits, f"+{digits}"]
        if digits.startswith("00"):
            spellings.append(f"+{digits[2:]}")
        if len(digits) == _NATIONAL_NUMBER_DIGITS and not text.startswith("+"):
            spellings.append(f"+1{digits}")
    stored = (numbers.redact_number(spelling) for spelling in dict.fromkeys(spellings))
    return [value for value in stored if value]
