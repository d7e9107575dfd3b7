"""Parse dates in the format of RFC 2822, which Twilio's callbacks and HTTP headers use."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_LENGTH = 64


def parse_date(text: str) -> datetime | None:
    """Convert a date to UTC. Returns None for invalid text. A date without a zone is in UTC, as Twilio documents."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # email.utils documents only ValueError
        return None
