"""The settings themselves, and the words for what is wrong with them."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from amd_service.domain import AccountSid, Anchor
from amd_service.errors import ConfigurationError
from amd_service.settings.accounts import Account, make_account, read_accounts
from amd_service.settings.hosts import is_loopback

PRODUCTION_MODEL = "jakeBland/wav2vec-vm-finetune"

# Without these Twilio retries connect failures only, once (docs: webhooks connection overrides).
RETRY_OVERRIDES = "#rc=3&rp=5xx,ct,rt"


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def default_data_dir() -> Path:
    """Root's server runs as an account that cannot enter root's home, and no home is opened for it."""
    if os.geteuid() == 0:
        return Path("/var/lib/amd-service")
    return Path(os.environ.get("HOME", "."), ".local", "share", "amd-service")


SecretList = Annotated[list[SecretStr], NoDecode]


class Settings(BaseSettings):
    """The service's settings. Field descriptions are the README's settings table."""

    model_config = SettingsConfigDict(
        env_prefix="AMD_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    # Doors
    host: str = Field("127.0.0.1", description="Address `serve` binds.")
    port: int = Field(8080, ge=0, le=65535, description="Port `serve` binds; 0 takes a free one.")
    worker_port: int = Field(8081, ge=0, le=65535, description="Health and metrics port of a lone `worker`.")
    public_url: str | None = Field(
        None,
        description="Base URL Twilio was given, e.g. `https://amd.example.com`; signatures are checked against it.",
    )
    api_keys: SecretList = Field(
        default_factory=list,
        description="Comma-separated keys for everything that is not a webhook. None: loopback only.",
    )
    max_callback_bytes: int = Field(64 * 1024, ge=1024, description="Largest callback body; more is answered 413.")
    max_upload_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, description="Largest upload to `/predict` (an hour of 8 kHz μ-law is 28.8 MB)."
    )
    shutdown_grace_s: float = Field(25.0, gt=0, description="Seconds a process may take to drain after SIGTERM.")

    # Database
    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host/name`. Unset: an embedded Postgres, kept in `AMD_DATA_DIR`.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded Postgres keeps its data.",
    )
    database_pool_size: int = Field(10, ge=3, description="Pooled connections a process may hold.")

    # Twilio
    twilio_api_url: str = Field(
        "https://api.twilio.com", description="Where recordings are fetched. Plain http only on loopback."
    )
    accounts_file: Path | None = Field(None, description="TOML file with several accounts, see below.")
    twilio_account_sid: str | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_ACCOUNT_SID"),
        description="The account whose callbacks are accepted.",
    )
    twilio_auth_token: SecretList = Field(
        default_factory=list,
        validation_alias=AliasChoices("TWILIO_AUTH_TOKEN"),
        description="Its auth token; several, comma-separated, while rotating.",
    )
    twilio_api_key: str | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_API_KEY"),
        description="API key for downloads, preferred to the token.",
    )
    twilio_api_secret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("TWILIO_API_SECRET"), description="The API key's secret."
    )
    media_max_bytes: int = Field(8 * 1024 * 1024, ge=64 * 1024, description="Most that is ever read of one recording.")
    media_connect_timeout_s: float = Field(5.0, gt=0, description="Time-out to connect to the media host.")
    media_read_timeout_s: float = Field(10.0, gt=0, description="Time-out between two reads of media.")
    media_total_timeout_s: float = Field(30.0, gt=0, description="Time-out for one whole download.")

    # Model and decision
    model: str = Field(
        PRODUCTION_MODEL,
        description="Hub id, folder, or `demo` for the small synthetic-speech model that ships.",
    )
    model_revision: str | None = Field(None, description="Commit, tag or branch of a hub model.")
    labels: str | None = Field(
        None, description="Label names by index where the model's config has none, e.g. `human,voicemail`."
    )
    engine: str = Field(
        "auto",
        description="`torch`, `onnx`, `openvino`, or `auto`: CUDA, else an exported engine that passed its gate, else "
        "torch.",
    )
    precision: str | None = Field(
        None,
        pattern="^(fp32|bf16|int8)$",
        description="`fp32`, `bf16` or `int8`. Unset: bf16 where the CPU has it; int8 only when it is set here.",
    )
    cache_dir: Path = Field(
        Path("~/.cache/amd-service").expanduser(), description="Where exported engines are kept, with their gates."
    )
    threads: int | None = Field(None, ge=1, description="Intra-op threads. Unset: the cores this process may use.")
    min_confidence: float = Field(
        0.7, gt=0.5, lt=1, description="Below it: once more on a longer window, then `undecided`."
    )
    min_confidence_human: float | None = Field(
        None, gt=0.5, lt=1, description="Threshold for `human` alone. Unset: `AMD_MIN_CONFIDENCE`."
    )
    min_confidence_voicemail: float | None = Field(
        None, gt=0.5, lt=1, description="Threshold for `voicemail` alone: a human called voicemail may cost more."
    )
    golden: str = Field(
        "enforce",
        pattern="^(enforce|warn)$",
        description="Golden clips that contradict the label order keep the classifier not ready, or only warn.",
    )
    golden_dir: Path | None = Field(
        None, description="Your own golden clips: `human/` and `voicemail/` with at least 5 mono recordings each."
    )
    window_anchor: Anchor = Field(Anchor.AUTO, description="Where the window begins: `auto`, `answer` or `onset`.")
    window_ms: int = Field(
        2000, ge=1000, le=10_000, description="First window; 2 s is what the production model knows."
    )
    long_window_ms: int = Field(5000, ge=1000, le=15_000, description="Second window, used when the first is unsure.")
    inference_queue: int = Field(
        32,
        ge=1,
        description="Windows that may wait for the model; also uploads, and streams, at once. More are answered 429.",
    )

    # The job
    worker_concurrency: int = Field(2, ge=1, description="Recordings one worker works on at a time.")
    job_lease_s: float = Field(60.0, gt=0, description="A job held longer without a heartbeat is taken over.")
    job_max_attempts: int = Field(8, ge=1, description="Attempts before a job is buried with its last reason.")
    job_retry_base_s: float = Field(1.0, gt=0, description="First retry delay; doubles each time, up to 5 minutes.")
    job_outage_s: float = Field(
        86_400.0, ge=0, description="An outage of Twilio or of the model is waited out this long, at no attempt's cost."
    )
    poll_s: float = Field(5.0, gt=0, description="Longest sleep of an idle worker when no notification comes.")

    # Logs
    log_format: str = Field(
        "auto", pattern="^(auto|json|text)$", description="`json`, `text`, or text on a terminal only."
    )
    log_level: str = Field(
        "INFO", pattern="(?i)^(debug|info|warning|error)$", description="Least level that is logged."
    )

    @field_validator("api_keys", "twilio_auth_token", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return _split(value)

    @field_validator("cache_dir", "golden_dir")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("public_url")
    @classmethod
    def _public_url_shape(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError("must be http(s)://host[:port][/prefix], without query, fragment or password")
        return value.rstrip("/")

    @field_validator("twilio_api_url")
    @classmethod
    def _api_url_shape(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError("must be https://host[:port]")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("must be https; plain http is accepted for a loopback host only")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _accounts_are_complete(self) -> Self:
        if self.twilio_account_sid and not self.twilio_auth_token:
            raise ValueError(
                "TWILIO_ACCOUNT_SID is set without TWILIO_AUTH_TOKEN: callbacks are signed with that token"
            )
        _ = self.accounts  # read the file now: a broken one must stop the start, not the first callback
        return self

    @cached_property
    def accounts(self) -> dict[AccountSid, Account]:
        """Every account we know, by SID."""
        known = [] if self.accounts_file is None else read_accounts(self.accounts_file)
        if self.twilio_account_sid:
            values = {
                "account_sid": self.twilio_account_sid,
                "auth_tokens": self.twilio_auth_token,
                "api_key": self.twilio_api_key,
                "api_secret": self.twilio_api_secret,
            }
            known.append(make_account(values, "the account in TWILIO_ACCOUNT_SID and its companions: "))
        return {account.account_sid: account for account in known}

    def callback_url(self, path: str) -> str:
        """The URL to give to Twilio for a webhook path, with retries switched on."""
        if self.public_url is None:
            raise ConfigurationError("AMD_PUBLIC_URL is not set: it is the base URL Twilio was given")
        return f"{self.public_url}{path}{RETRY_OVERRIDES}"


_ALIASES = {
    "twilio_account_sid": "TWILIO_ACCOUNT_SID",
    "twilio_auth_token": "TWILIO_AUTH_TOKEN",
    "twilio_api_key": "TWILIO_API_KEY",
    "twilio_api_secret": "TWILIO_API_SECRET",
}


def environment_name(field: str) -> str:
    """The environment variable of a settings field."""
    return _ALIASES.get(field, f"AMD_{field.upper()}")


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment and `.env`, `overrides` by field name first.

    Raises ConfigurationError naming each variable that is wrong.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [_explain(str(item["loc"][0]) if item["loc"] else "", item["msg"]) for item in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


def _explain(location: str, message: str) -> str:
    message = re.sub(r"^Value error, ", "", message)
    if not location:
        return message
    name = location if location.startswith("TWILIO_") else environment_name(location)
    return f"{name}: {message}"
