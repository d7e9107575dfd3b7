"""Twilio accounts: whose callbacks are accepted, and with what their recordings are fetched."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from amd_service.domain import AccountSid, RecordingSource, is_sid

# Channel of the called party by RecordingSource. Only DialVerb is documented (channel 2 = child call); that the
# other two put the called party first is an inference no Twilio page confirms, hence a setting per account.
DEFAULT_CHANNELS: dict[str, int] = {
    RecordingSource.DIAL_VERB: 2,
    RecordingSource.OUTBOUND_API: 1,
    RecordingSource.START_CALL_RECORDING_API: 1,
}


def _not_blank(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("must not be blank: it would be a secret that everybody knows")
    return value


Secret = Annotated[SecretStr, AfterValidator(_not_blank)]


class Account(BaseModel):
    """One Twilio account or subaccount we accept callbacks from and fetch recordings of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_sid: AccountSid
    auth_tokens: list[Secret] = Field(
        min_length=1,
        description="Signatures by any are accepted; the first one is used for REST. Several while rotating, the new "
        "one first: Twilio takes it for REST already.",
    )
    api_key: str | None = Field(None, pattern=r"\S")
    api_secret: Secret | None = None
    channels: dict[str, int] = Field(
        default_factory=dict, description="Channel of the called party (1 or 2) by RecordingSource."
    )

    @field_validator("account_sid")
    @classmethod
    def _sid_shape(cls, value: AccountSid) -> AccountSid:
        if not is_sid(value, "AC"):
            raise ValueError("an account SID is AC followed by 32 hexadecimal digits")
        return value

    @field_validator("channels")
    @classmethod
    def _channel_numbers(cls, value: dict[str, int]) -> dict[str, int]:
        if any(channel not in (1, 2) for channel in value.values()):
            raise ValueError("a channel is 1 or 2")
        return value

    @model_validator(mode="after")
    def _key_has_secret(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret belong together: set both or neither")
        return self

    @property
    def basic_auth(self) -> tuple[str, str]:
        """User and password for Twilio's REST API: the API key if there is one, else SID and auth token."""
        if self.api_key is not None and self.api_secret is not None:
            return self.api_key, self.api_secret.get_secret_value()
        return self.account_sid, self.auth_tokens[0].get_secret_value()

    def called_party_channel(self, source: str | None) -> int | None:
        """Channel (from 1) of the called party in a dual-channel recording, None where nobody knows."""
        if source is None:
            return None
        return self.channels.get(source, DEFAULT_CHANNELS.get(source))


def read_accounts(path: Path) -> list[Account]:
    """The accounts of a TOML file. Raises ValueError, for pydantic to report, where it cannot be read or is empty."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("account", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"AMD_ACCOUNTS_FILE {path} cannot be read: {error}") from error
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"AMD_ACCOUNTS_FILE {path} has no [[account]] table")
    return [make_account(table, f"AMD_ACCOUNTS_FILE {path}, account {n}: ") for n, table in enumerate(tables, start=1)]


def make_account(values: object, where: str) -> Account:
    """The account of these values. Raises ValueError, naming `where` and each field that is wrong."""
    try:
        return Account.model_validate(values)
    except ValidationError as error:
        raise ValueError(where + "; ".join(map(_fault, error.errors()))) from error


def _fault(item: ErrorDetails) -> str:
    field = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{field} is missing"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(field, Account.model_fields, n=1)
        meant = [f"{name} = […]" if name == "auth_tokens" else name for name in close]
        return f"{field} is no field of an account" + (f", did you mean {meant[0]}?" if meant else "")
    said = item["msg"].removeprefix("Value error, ")
    return f"{field}: {said}" if field else said
