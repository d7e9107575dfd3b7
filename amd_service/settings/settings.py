"""The class `Settings`, and error messages for invalid values."""

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from amd_service.errors import ConfigurationError
from amd_service.settings.detection import DetectionSettings
from amd_service.settings.server import ServerSettings
from amd_service.settings.twilio import TwilioSettings
from amd_service.settings.types import one_of

ENV_FILE = ".env"


class Settings(DetectionSettings, TwilioSettings, ServerSettings, BaseSettings):
    """All settings. The table in docs/settings.md is generated from the field descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="AMD_", env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    # Queue
    worker_concurrency: int = Field(
        2, ge=1, description="Maximum number of recordings that one worker processes at the same time."
    )
    job_lease_s: float = Field(
        60.0, gt=0, description="Seconds after the last heartbeat of a worker until other workers claim its recordings."
    )
    job_max_attempts: int = Field(
        8, ge=1, description="Maximum number of attempts before a worker gives up a recording."
    )
    job_retry_base_s: float = Field(
        1.0,
        gt=0,
        description="Seconds before the first retry of a recording. The delay doubles with each retry, up to 300 s.",
    )
    job_outage_s: float = Field(
        86_400.0,
        ge=0,
        description="Seconds from the moment at which a recording is enqueued. During this time, an outage of Twilio "
        "or of the model does not count as an attempt.",
    )
    poll_s: float = Field(
        5.0,
        gt=0,
        description="Seconds between polls of an idle worker. A database notification starts the next poll earlier.",
    )

    # Logs
    log_format: Annotated[str, one_of("auto", "json", "text")] = Field(
        "auto", description="Format of logs: `json`, `text` or `auto`. `auto`: text on a terminal, else JSON."
    )
    log_level: Annotated[str, one_of("debug", "info", "warning", "error")] = Field(
        "info", description="Lowest level that is logged: `debug`, `info`, `warning` or `error`."
    )


_ALIASES = {
    "twilio_region": "TWILIO_REGION",
    "twilio_edge": "TWILIO_EDGE",
    "twilio_account_sid": "TWILIO_ACCOUNT_SID",
    "twilio_auth_token": "TWILIO_AUTH_TOKEN",
    "twilio_api_key": "TWILIO_API_KEY",
    "twilio_api_secret": "TWILIO_API_SECRET",
}


def environment_name(field: str) -> str:
    """Return the name of the environment variable for a settings field."""
    return _ALIASES.get(field, f"AMD_{field.upper()}")


def load_settings(**overrides: Any) -> Settings:
    """Read settings from the environment and `.env`. `overrides` (by field name) have priority.

    Raises ConfigurationError with one line for each invalid variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [_describe(str(item["loc"][0]) if item["loc"] else "", item["msg"]) for item in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


def _describe(location: str, message: str) -> str:
    message = re.sub(r"^Value error, ", "", message)
    if not location:
        return message
    name = location if location.startswith("TWILIO_") else environment_name(location)
    # A message of our validators continues the name ("must be …"). A message of pydantic is a complete sentence.
    return f"{name} {message}" if message.startswith("must ") else f"{name}: {message}"
