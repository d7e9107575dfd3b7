"""Twilio accounts: auth tokens that sign callbacks, and credentials for the REST API."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from amd_service.domain import RecordingSource
from amd_service.settings.files import read_utf8
from amd_service.settings.messages import requirement
from amd_service.settings.text import shown
from amd_service.settings.types import ChannelMap, Credential, Secret, Sid

# Channel of the called party by RecordingSource. Twilio documents only DialVerb (channel 2 = child call). Channel 1 for
# the other two sources is an assumption that no Twilio page confirms, so each account can override it.
DEFAULT_CHANNELS: dict[str, int] = {
    RecordingSource.DIAL_VERB: 2,
    RecordingSource.OUTBOUND_API: 1,
    RecordingSource.START_CALL_RECORDING_API: 1,
}


class Account(BaseModel):
    """A Twilio account or subaccount whose callbacks are accepted and whose recordings are downloaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_sid: Sid
    auth_tokens: list[Secret] = Field(
        min_length=1,
        description="Signatures by any of these tokens are accepted. The first token is used for REST requests. During "
        "a rotation, list the new token first, because Twilio accepts the new token for REST immediately.",
    )
    api_key: Credential | None = None
    api_secret: Secret | None = None
    channels: ChannelMap = Field(
        default_factory=dict, description="Channel of the called party (1 or 2) by RecordingSource."
    )

    @model_validator(mode="after")
    def _check_api_key(self) -> Self:
        if self.api_key is not None and self.api_secret is None:
            raise ValueError("api_key is set without api_secret: set both, or neither")
        if self.api_key is None and self.api_secret is not None:
            raise ValueError("api_secret is set without api_key: set both, or neither")
        return self

    @property
    def basic_auth(self) -> tuple[str, str]:
        """User and password for Twilio's REST API: API key and secret if configured, else SID and first auth token."""
        if self.api_key is not None and self.api_secret is not None:
            return self.api_key, self.api_secret.get_secret_value()
        return self.account_sid, self.auth_tokens[0].get_secret_value()

    def called_party_channel(self, source: str | None) -> int | None:
        """Return the called party's channel (1 or 2) of a dual-channel recording.

        Returns None if the channel is unknown.
        """
        if source is None:
            return None
        return self.channels.get(source, DEFAULT_CHANNELS.get(source))


def read_accounts(path: Path) -> list[Account]:
    """Read the accounts of a TOML file. Raises ValueError if the file is unreadable or has no account."""
    try:
        content = tomllib.loads(read_utf8(path))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"AMD_ACCOUNTS_FILE {path} is not valid TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"AMD_ACCOUNTS_FILE {error}") from error
    if unknown := content.keys() - {"account"}:
        raise ValueError(f"AMD_ACCOUNTS_FILE {path} contains {', '.join(sorted(unknown))}: only [[account]] is read")
    tables = content.get("account", [])
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"AMD_ACCOUNTS_FILE {path} has no [[account]] table")
    return [make_account(table, f"AMD_ACCOUNTS_FILE {path}, account {n}: ") for n, table in enumerate(tables, start=1)]


def make_account(values: object, prefix: str) -> Account:
    """Build an account.

    Raises ValueError if a field is invalid. The message begins with `prefix` and names every invalid field.
    """
    try:
        return Account.model_validate(values)
    except ValidationError as error:
        raise ValueError(prefix + "; ".join(map(_describe, error.errors()))) from error


def _describe(item: ErrorDetails) -> str:
    field = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{field} is missing"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(field, Account.model_fields, n=1)
        hints = [f"{name} = […]" if name == "auth_tokens" else name for name in close]
        return f"{field} is not a field of an account" + (f", did you mean {hints[0]}?" if hints else "")
    if not field:
        return requirement(item)
    is_secret = field.startswith(("auth_token", "api_secret"))
    value = "" if is_secret or isinstance(item["input"], dict | list) else f"={shown(item['input'])}"
    return f"{field}{value}: {requirement(item)}"
