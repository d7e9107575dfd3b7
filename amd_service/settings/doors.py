"""Settings of the doors and of the database."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from amd_service.errors import ConfigurationError
from amd_service.settings.hosts import is_loopback
from amd_service.settings.lists import SecretList, split

# Without these Twilio retries connect failures only, once (docs: webhooks connection overrides). Its read time-out
# may use up the 15 s that everything may last; 6 s leave room for a retry, and are longer than our longest transaction.
RETRY_OVERRIDES = "#rt=6000&rc=3&rp=5xx,ct,rt"


def default_data_dir() -> Path:
    """Root's server runs as an account that cannot enter root's home, and no home is opened for it."""
    if os.geteuid() == 0:
        return Path("/var/lib/amd-service")
    return Path(os.environ.get("HOME", "."), ".local", "share", "amd-service")


class DoorSettings(BaseModel):
    """Where the service listens, who may ask, and where its rows are."""

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

    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host/name`. Unset: an embedded Postgres, kept in `AMD_DATA_DIR`.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded Postgres keeps its data.",
    )
    database_pool_size: int = Field(10, ge=3, description="Pooled connections a process may hold.")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _keys_comma_separated(cls, value: object) -> object:
        return split(value)

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

    @property
    def is_published(self) -> bool:
        """Whether the public URL leads here from other machines."""
        return self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or "")

    @property
    def is_private(self) -> bool:
        """Whether the service is meant for this machine alone, which may then ask without a key.

        With a public URL there is a proxy, and one that sends no forwarding header (nginx by default) makes every
        stranger look like this machine.
        """
        return not self.is_published and is_loopback(self.host)

    @property
    def own_url(self) -> str:
        """Where this machine reaches `serve`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - what is bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def callback_url(self, path: str) -> str:
        """The URL to give to Twilio for a webhook path, with retries switched on."""
        if self.public_url is None:
            raise ConfigurationError("AMD_PUBLIC_URL is not set: it is the base URL Twilio was given")
        return f"{self.public_url}{path}{RETRY_OVERRIDES}"
