"""Settings of the HTTP server and the database."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from amd_service.errors import ConfigurationError
from amd_service.settings.shutdown import ShutdownBudget
from amd_service.settings.types import SecretList, is_loopback

# By default Twilio retries a webhook once, and only after a connect failure (docs: webhooks connection overrides).
# Connecting, reading and all retries together may take 15 s. A read timeout of 6 s leaves time for a retry and is
# longer than our longest transaction.
RETRY_OVERRIDES = "#rt=6000&rc=3&rp=5xx,ct,rt"


def default_data_dir() -> Path:
    """The default of AMD_DATA_DIR.

    Postgres refuses to run as root. The account that runs it instead cannot enter root's home directory.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/amd-service")
    return Path(os.environ.get("HOME", "."), ".local", "share", "amd-service")


class ServerSettings(BaseModel):
    """Addresses, API keys, size limits and the database."""

    host: str = Field("127.0.0.1", description="Address `serve` listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port `serve` listens on; 0 picks a free one.")
    worker_port: int = Field(
        8081, ge=0, le=65535, description="Port for health and metrics of a `worker` that runs without `serve`."
    )
    public_url: str | None = Field(
        None,
        description="Base URL that Twilio uses, e.g. `https://amd.example.com`. Signatures are checked against it.",
    )
    api_keys: SecretList = Field(
        default_factory=list,
        description="Comma-separated keys for everything except webhooks. Unset: loopback clients only.",
    )
    max_callback_bytes: int = Field(
        64 * 1024, ge=1024, description="Maximum size of a callback body; larger ones get a 413."
    )
    max_upload_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, description="Maximum upload to `/predict` (an hour of 8 kHz μ-law is 28.8 MB)."
    )
    shutdown_grace_s: float = Field(25.0, gt=0, description="Seconds a process may take to drain after SIGTERM.")

    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host/name`. Unset: an embedded Postgres in `AMD_DATA_DIR`.",
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Data directory of the embedded Postgres.")
    database_pool_size: int = Field(10, ge=3, description="Maximum number of pooled connections per process.")

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
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
        """Whether other machines can reach the public URL."""
        return self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or "")

    @property
    def is_local_only(self) -> bool:
        """Whether only this machine uses the service, so that clients need no API key.

        A public URL implies a proxy. A proxy that sends no forwarding header (nginx by default) makes every remote
        client look like this machine, so a published service always requires keys.
        """
        return not self.is_published and is_loopback(self.host)

    @property
    def local_url(self) -> str:
        """Base URL at which this machine reaches `serve`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def shutdown_budget(self) -> ShutdownBudget:
        """How the steps of a shutdown share the grace time."""
        return ShutdownBudget.of(self.shutdown_grace_s)

    def callback_url(self, path: str) -> str:
        """The full URL of a webhook path, with Twilio's retries switched on. Raises ConfigurationError."""
        if self.public_url is None:
            raise ConfigurationError("AMD_PUBLIC_URL is not set: set it to the base URL that Twilio uses")
        return f"{self.public_url}{path}{RETRY_OVERRIDES}"
