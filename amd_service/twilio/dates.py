"""Dates as mail and HTTP headers spell them (RFC 2822), which is how Twilio spells them too."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 64


def parse_date(text: str) -> datetime | None:
    """The moment in UTC, or None for what is not a date. A date without a zone is UTC, as Twilio documents."""
    if len(text) > _LONGEST:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # it promises ValueError and breaks the promise
        return None
