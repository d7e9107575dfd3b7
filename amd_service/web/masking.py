"""Masks phone numbers for people who may not see them."""

import re
from typing import Any

from amd_service.calls.number_policy import HASHED, NUMBER_FACTS
from amd_service.domain import Principal

# Minimum characters of a number whose country and last two digits are shown to people who may not see numbers.
SHORTEST_WITH_COUNTRY = 10

# Columns with texts of Twilio and of people, which can repeat a number.
FREE_TEXTS = frozenset({"action_note", "last_error", "note"})

# A number as Twilio or a person writes it in a text, with 7 to 15 digits (E.164). Digits inside a SID do not count.
_NUMBER_IN_TEXT = re.compile(r"(?<!\w)(?:\+|%2B)?\d(?:[ ().-]{0,2}\d){6,14}(?!\w)", re.ASCII | re.IGNORECASE)


def masked(number: str | None, principal: Principal) -> str:
    """Return a phone number as `principal` may see it: in full, or with only the country and the last two digits.

    Of a short number, only the last digit is shown. A hashed number stays, because it identifies nobody.
    """
    if number is None:
        return ""
    if principal.sees_numbers or number.startswith(HASHED):
        return number
    return f"{number[:3]}•••{number[-2:]}" if len(number) >= SHORTEST_WITH_COUNTRY else f"•••{number[-1:]}"


def shown(number: str | None, principal: Principal) -> str:
    """Return a phone number for a page: masked as `principal` may see it, and shortened if it is hashed."""
    text = masked(number, principal)
    return f"{text[:13]}…" if text.startswith(HASHED) else text


def masked_text(text: str, principal: Principal) -> str:
    """Return a text as `principal` may see it, with masked phone numbers."""
    if principal.sees_numbers:
        return text
    return _NUMBER_IN_TEXT.sub(lambda found: masked(found[0], principal), text)


def masked_json(value: Any, principal: Principal) -> Any:
    """Return a JSON value as `principal` may see it: masks the columns with numbers and FREE_TEXTS of all its rows."""
    if isinstance(value, list):
        return [masked_json(each, principal) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _masked_column(name, each, principal) for name, each in value.items()}


def _masked_column(name: str, value: Any, principal: Principal) -> Any:
    if not isinstance(value, str):
        return masked_json(value, principal)
    if name in NUMBER_FACTS:
        return masked(value, principal)
    return masked_text(value, principal) if name in FREE_TEXTS else value
