"""The class `Settings`, and error messages for invalid values."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from amd_service.errors import ConfigurationError
from amd_service.settings.access import AccessSettings
from amd_service.settings.delivery import DeliverySettings
from amd_service.settings.detection import DetectionSettings
from amd_service.settings.env_file import read_env_file
from amd_service.settings.messages import requirement
from amd_service.settings.review import ReviewSettings
from amd_service.settings.server import ServerSettings
from amd_service.settings.service_links import is_service_link
from amd_service.settings.shadow import ShadowSettings
from amd_service.settings.text import check_plain, shown, trim
from amd_service.settings.twilio import TwilioSettings
from amd_service.settings.types import one_of


class Settings(
    DetectionSettings,
    ShadowSettings,
    TwilioSettings,
    AccessSettings,
    ReviewSettings,
    DeliverySettings,
    ServerSettings,
    BaseSettings,
):
    """All settings. The table in docs/settings.md is generated from the field descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="AMD_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ignore blank values, so that the next source applies. Also ignore the variables of Kubernetes."""
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                source.env_vars = {
                    name: value
                    for name, value in source.env_vars.items()
                    if value and trim(value) and not is_service_link(name, value)
                }
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @field_validator("*", mode="before")
    @classmethod
    def _trim(cls, value: object) -> object:
        """Remove white space around every value. Refuse quotation marks around the value, and control characters."""
        return check_plain(trim(value)) if isinstance(value, str) else value

    # Queue
    worker_downloads: int = Field(
        16,
        ge=1,
        description="Maximum number of recordings that one worker downloads at the same time. A downloaded recording "
        "counts until it is judged. Each recording takes at most `AMD_MEDIA_MAX_BYTES` of memory.",
    )
    worker_concurrency: int | None = Field(
        None,
        ge=1,
        description="Maximum number of recordings that one worker judges at the same time. If unset, the number "
        "depends on the engine: 2 on a CPU, two batches on a GPU. A number above `AMD_WORKER_DOWNLOADS` also raises "
        "the number of downloads.",
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
        description="Seconds before the first retry of a recording. The delay doubles with each attempt that counts, "
        "up to 300 s. While an outage does not count (`AMD_JOB_OUTAGE_S`), the delay is a quarter of the time since "
        "the recording was enqueued, at least this value and at most 300 s. A random part of up to a quarter is "
        "subtracted.",
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

    def with_model(self, model: str, revision: str | None = None) -> Self:
        """Return the same settings for another model. AMD_LABELS describes only AMD_MODEL, so it does not apply."""
        return self.model_copy(update={"model": model, "model_revision": revision, "labels": None})

    @property
    def recordings_at_once(self) -> int:
        """Maximum number of recordings that one worker claims at the same time."""
        return max(self.worker_downloads, self.worker_concurrency or 0)


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


def env_file_variables() -> dict[str, str | None]:
    """Return the variables in `.env`. Raises ConfigurationError if the file or one of its lines cannot be read."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigurationError("the working directory was deleted: start in another directory") from error
    file = Settings.model_config.get("env_file")
    return read_env_file(Path(file)) if isinstance(file, str) else {}


def load_settings(**overrides: Any) -> Settings:
    """Read settings from the environment and `.env`. `overrides` (by field name) have priority.

    Raises ConfigurationError with one line for each invalid variable, and for each line of `.env` that cannot be read.
    """
    env_file_variables()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("\n".join(map(_describe, error.errors()))) from error


def _describe(item: ErrorDetails) -> str:
    if not item["loc"]:
        return requirement(item)
    location = str(item["loc"][0])
    name = location if location.startswith("TWILIO_") else environment_name(location)
    field = Settings.model_fields[name.removeprefix("AMD_").lower()]
    is_secret = SecretStr.__name__ in str(field.annotation)
    return f"{name} {requirement(item)}" if is_secret else f"{name}={shown(item['input'])}: {requirement(item)}"
