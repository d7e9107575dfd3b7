"""Parses times and durations in options of commands."""

import re
from datetime import UTC, datetime, timedelta

from amd_service.errors import ConfigurationError

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str, option: str = "--since") -> timedelta:
    """Parse `90m`, `24h` or `7d`. Raises ConfigurationError for anything else."""
    duration = _duration(text)
    if duration is None:
        raise ConfigurationError(
            f"{option} {text} is invalid: use 1 to 9999 minutes, hours or days, e.g. 90m, 24h or 7d"
        )
    return duration


def parse_time(text: str, option: str, *, now: datetime) -> datetime:
    """Parse a date or time in ISO 8601, or a duration before `now`. A time without an offset is in UTC.

    Raises ConfigurationError for anything else.
    """
    duration = _duration(text)
    if duration is not None:
        return now - duration
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text} is invalid: use a date or time such as 2026-11-20 or 2026-11-20T15:00+01:00, "
            "or the time that has passed since then, such as 90m, 24h or 7d"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def parse_period(since: str, until: str | None, *, now: datetime) -> tuple[datetime, datetime | None]:
    """Parse `--since` and `--until`. None stands for now. Raises ConfigurationError, also if no call can match."""
    begin = parse_time(since, "--since", now=now)
    end = None if until is None else parse_time(until, "--until", now=now)
    if begin >= (end or now):
        limit = "now" if until is None else f"--until {until}"
        raise ConfigurationError(f"--since {since} must be before {limit}: no call can match")
    return begin, end


def _duration(text: str) -> timedelta | None:
    match = re.fullmatch(r"([1-9][0-9]{0,3})([mhd])", text)
    return None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
