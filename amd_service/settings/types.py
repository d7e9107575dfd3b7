"""Types and validators of settings.

The name of the setting precedes the message of a validator, so a message begins with "must".
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def split_list(value: object) -> object:
    """Split a comma-separated text into its items. Drops blank items. Returns values of other types unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def split_pairs(value: object) -> object:
    """Parse a text like `a=1,b=2`. Returns values of other types unchanged. Raises ValueError for a missing `=`."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and sign for name, sign, _ in parts):
        raise ValueError("must be pairs like OutboundAPI=1,DialVerb=2")
    return {name.strip(): number.strip() for name, _, number in parts}


def check_not_blank(value: SecretStr) -> SecretStr:
    """Refuse a blank secret."""
    if not value.get_secret_value().strip():
        raise ValueError("must not be blank: a blank secret is easy to guess")
    return value


Secret = Annotated[SecretStr, AfterValidator(check_not_blank)]
SecretList = Annotated[list[SecretStr], NoDecode, BeforeValidator(split_list)]
TextList = Annotated[list[str], NoDecode, BeforeValidator(split_list)]
ChannelMap = Annotated[dict[str, int], NoDecode, BeforeValidator(split_pairs)]


def one_of(*words: str) -> AfterValidator:
    """Accept one of the words in upper or lower case, and return the word in lower case."""
    known = f"{', '.join(words[:-1])} or {words[-1]}"

    def check(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"must be {known}")
        return value.lower()

    return AfterValidator(check)


def matching(pattern: str, *, example: str) -> AfterValidator:
    """Accept text that matches the pattern. `example` is shown in the error message."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"must look like {example}")
        return value

    return AfterValidator(check)


def is_web_url(url: str) -> bool:
    """Whether `url` is an http(s) URL with a host, without spaces and control characters."""
    if " " in url or not url.isprintable():  # urlsplit deletes some of these characters
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
