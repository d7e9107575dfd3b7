"""The Retry-After header."""

from datetime import UTC, datetime

from amd_service.twilio.dates import parse_date

MAX_RETRY_AFTER_S = 3600.0


def retry_after_s(header: str | None) -> float | None:
    """Convert a Retry-After header (a number or a date) to seconds, at most 3600.

    Returns None if the header is absent or invalid.
    """
    value = (header or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER_S)
    moment = parse_date(value)
    if moment is None:
        return None
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
