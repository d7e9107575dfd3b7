"""Dates in the format of mail and HTTP headers (RFC 2822), which Twilio uses too."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_LENGTH = 64


def parse_date(text: str) -> datetime | None:
    """The moment in UTC, None for invalid text. A date without a zone is UTC, as Twilio documents."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # documented: ValueError; the others occur as well
        return None
