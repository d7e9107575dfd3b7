"""The settings themselves, and the words for what is wrong with them."""

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from amd_service.errors import ConfigurationError
from amd_service.settings.detection import DetectionSettings
from amd_service.settings.doors import DoorSettings
from amd_service.settings.shapes import one_of
from amd_service.settings.twilio import TwilioSettings

ENV_FILE = ".env"


class Settings(DetectionSettings, TwilioSettings, DoorSettings, BaseSettings):
    """The service's settings. Field descriptions are the table in docs/settings.md."""

    model_config = SettingsConfigDict(
        env_prefix="AMD_", env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    # The job
    worker_concurrency: int = Field(2, ge=1, description="Recordings one worker works on at a time.")
    job_lease_s: float = Field(60.0, gt=0, description="A job held longer without a heartbeat is taken over.")
    job_max_attempts: int = Field(8, ge=1, description="Attempts before a job is given up with its last reason.")
    job_retry_base_s: float = Field(1.0, gt=0, description="First retry delay; doubles each time, up to 5 minutes.")
    job_outage_s: float = Field(
        86_400.0, ge=0, description="An outage of Twilio or of the model costs no attempt for this long."
    )
    poll_s: float = Field(5.0, gt=0, description="Longest sleep of an idle worker when no notification comes.")

    # Logs
    log_format: Annotated[str, one_of("auto", "json", "text")] = Field(
        "auto", description="`json`, `text`, or text on a terminal only."
    )
    log_level: Annotated[str, one_of("debug", "info", "warning", "error")] = Field(
        "info", description="Least level that is logged: `debug`, `info`, `warning`, `error`."
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
    # Our own refusals are sentences that the name begins.
    return f"{name} {message}" if message.startswith("must ") else f"{name}: {message}"
