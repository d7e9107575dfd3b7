"""How long Twilio asks us to wait."""

from datetime import UTC, datetime

from amd_service.twilio.dates import parse_date

LONGEST_S = 3600.0


def retry_after_s(header: str | None) -> float | None:
    """A Retry-After header in seconds, given as a number or as a date; at most an hour, None where it says nothing."""
    value = (header or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_S)
    moment = parse_date(value)
    if moment is None:
        return None
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_S)
