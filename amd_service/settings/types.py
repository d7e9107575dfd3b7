"""Types and validators of settings.

The name of the setting precedes the message of a validator, so a message begins with "must".
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from amd_service.domain import AccountSid, RecordingSource, is_sid
from amd_service.errors import ConfigurationError
from amd_service.settings.text import check_credential, check_one_word, shown, trim


def split_list(value: object) -> object:
    """Split a comma-separated text into its items. Drops blank items. Returns values of other types unchanged."""
    return [trim(part) for part in value.split(",") if trim(part)] if isinstance(value, str) else value


def read_channels(value: object) -> object:
    """Parse a text like `OutboundAPI=1,DialVerb=2`, or check a table.

    Raises ValueError for an unknown RecordingSource, and for a channel that is not 1 or 2.
    """
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if trim(part)]
        value = {trim(name): trim(channel) for name, _, channel in pairs}
    if not isinstance(value, dict):
        return value  # pydantic refuses the value
    known = ", ".join(RecordingSource)
    for source, channel in value.items():
        if source not in set(RecordingSource):
            raise ValueError(f"must begin with a RecordingSource ({known}), not with {shown(source) or 'nothing'}")
        if str(channel) not in ("1", "2"):
            raise ValueError(f"must be 1 or 2 for {source}, not {shown(channel) or 'empty'}")
    return value


def check_threshold(value: float) -> float:
    """Return a minimum confidence. Raises ValueError if it decides nothing, or if no confidence reaches it."""
    if value >= 1:
        raise ValueError("must be below 1: no confidence reaches it, so the label would never be given")
    if not value > 0.5:
        raise ValueError("must be above 0.5: the more probable label always has a confidence of at least 0.5")
    return value


def trim_text(value: object) -> object:
    """Trim a text. Returns values of other types unchanged."""
    return trim(value) if isinstance(value, str) else value


def check_secret(value: SecretStr) -> SecretStr:
    """Trim a secret. Raises ValueError for a blank secret, for inner white space and for a placeholder."""
    return SecretStr(check_credential(trim(value.get_secret_value())))


def check_secret_url(value: SecretStr) -> SecretStr:
    """Raise ValueError for a URL that contains white space or is in quotation marks."""
    return SecretStr(check_one_word(trim(value.get_secret_value())))


def check_account_sid(value: str) -> str:
    """Raise ValueError if the text is not the SID of an account."""
    if not is_sid(value, "AC"):
        raise ValueError("must be AC followed by 32 hexadecimal digits")
    return value


def home(setting: str) -> Path:
    """Return the home directory. Raises ConfigurationError if HOME is unset and the account is not in /etc/passwd."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            f"HOME is not set, and the account {os.geteuid()} has no home directory: set HOME or {setting}"
        ) from error


def expand_home(path: Path) -> Path:
    """Expand `~`. Raises ValueError if the home directory is unknown."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("must not begin with ~, because the home directory is unknown: set HOME") from error


ExpandedPath = Annotated[Path, AfterValidator(expand_home)]
OneWord = Annotated[str, AfterValidator(check_one_word)]
Sid = Annotated[
    AccountSid, BeforeValidator(trim_text), AfterValidator(check_credential), AfterValidator(check_account_sid)
]
Credential = Annotated[str, BeforeValidator(trim_text), AfterValidator(check_credential)]
Secret = Annotated[SecretStr, AfterValidator(check_secret)]
SecretUrl = Annotated[SecretStr, AfterValidator(check_secret_url)]
SecretList = Annotated[list[Secret], NoDecode, BeforeValidator(split_list)]
TextList = Annotated[list[str], NoDecode, BeforeValidator(split_list)]
ChannelMap = Annotated[dict[str, int], NoDecode, BeforeValidator(read_channels)]


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


def split_url(url: str) -> SplitResult:
    """Split a URL. Raises ValueError if the URL has no host, an invalid port, or an invalid IPv6 address."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ValueError("must have a valid host and port, e.g. https://amd.example.com or https://amd.example.com:8443")


def is_web_url(url: str) -> bool:
    """Whether `url` is an http(s) URL with a host, without spaces and control characters."""
    if " " in url or not url.isprintable():  # urlsplit deletes some of these characters
        return False
    try:
        return split_url(url).scheme in ("http", "https")
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


# Minimum confidence of a label.
Threshold = Annotated[float, AfterValidator(check_threshold)]
