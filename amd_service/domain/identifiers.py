"""Twilio's identifiers."""

import re
from typing import NewType

AccountSid = NewType("AccountSid", str)
CallSid = NewType("CallSid", str)
RecordingSid = NewType("RecordingSid", str)
ConferenceSid = NewType("ConferenceSid", str)
StreamSid = NewType("StreamSid", str)

# Patterns from Twilio's OpenAPI description (twilio_api_v2010.json).
_SID_PATTERN = re.compile(r"(AC|CA|RE|CF|MZ)[0-9a-fA-F]{32}")


def sid_pattern(*prefixes: str) -> str:
    """Return the regular expression of a Twilio SID with one of these two-letter prefixes, for JSON schemas."""
    return f"^({'|'.join(prefixes)})[0-9a-fA-F]{{32}}$"


def is_sid(value: str, prefix: str) -> bool:
    """Whether `value` is a well-formed Twilio SID with this two-letter prefix."""
    return value.startswith(prefix) and _SID_PATTERN.fullmatch(value) is not None
