"""Converts AMD_DATABASE_URL to the form that the driver reads."""

from urllib.parse import urlsplit

from amd_service.errors import ConfigurationError

# The error never quotes the URL or the driver's message, because both can contain parts of the password.
UNREADABLE_URL = (
    "AMD_DATABASE_URL cannot be read: write postgresql://user:password@host/name and percent-encode special characters "
    "of user and password (e.g. / as %2F, # as %23, [ as %5B)"
)


def driver_url(url: str) -> str:
    """Return the URL in the form of libpq and asyncpg. Raises ConfigurationError if it is not a Postgres URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(UNREADABLE_URL) from None
    if parts.scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ConfigurationError(
            f"AMD_DATABASE_URL begins with {parts.scheme or 'no scheme'!r}: "
            "it must be postgresql://user:password@host/name"
        )
    return "postgresql" + url[len(parts.scheme) :]
