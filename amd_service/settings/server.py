"""Settings of the HTTP server and the database."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from amd_service.domain import NAME_RULE, is_name
from amd_service.errors import ConfigurationError
from amd_service.settings.shutdown import ShutdownBudget
from amd_service.settings.types import (
    ExpandedPath,
    OneWord,
    SecretUrl,
    TextList,
    home,
    is_loopback,
    is_web_url,
    split_url,
)

# URL fragment that asks Twilio for a read timeout of 6000 ms and for 3 retries, after 5xx, failed connections and read
# timeouts (docs: webhooks connection overrides). By default Twilio retries a webhook once, and only after a failed
# connection. All attempts together take at most 15 s. A read timeout of 6 s leaves time for a retry, and is longer than
# the longest transaction of this service.
RETRY_OVERRIDES = "#rt=6000&rc=3&rp=5xx,ct,rt"


def default_data_dir() -> Path:
    """Return the default of AMD_DATA_DIR.

    Postgres refuses to run as root. If root starts the service, another account runs Postgres, and that account has no
    access to root's home directory.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/amd-service")
    return home("AMD_DATA_DIR") / ".local" / "share" / "amd-service"


# Each campaign adds up to 60 time series per process, most of them buckets of the histogram.
MOST_CAMPAIGN_METRICS = 20


class ServerSettings(BaseModel):
    """Addresses, API keys, size limits and the database."""

    host: OneWord = Field("127.0.0.1", description="Address on which `serve` listens.")
    port: int = Field(8080, ge=0, le=65535, description="Port on which `serve` listens. If 0, any free port is used.")
    worker_port: int = Field(
        8081,
        ge=0,
        le=65535,
        description="Port for health and metrics of a `worker` that runs without `serve`. If 0, any free port is used, "
        "which a second worker on one machine needs.",
    )
    public_url: OneWord | None = Field(
        None,
        description="Base URL for Twilio's requests to this service, e.g. `https://amd.example.com`. Signatures are "
        "checked against this URL.",
    )
    max_connections: int = Field(
        512,
        ge=8,
        description="Maximum number of client connections per process. Above the maximum, the longest idle connection "
        "is closed. If no connection is idle, only Twilio and health checks are served, on 64 further connections.",
    )
    max_callback_bytes: int = Field(
        64 * 1024, ge=1024, description="Maximum bytes in the body of a callback. A larger body gets a 413."
    )
    max_upload_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="Maximum bytes in an upload to `/predict`. One hour of 8 kHz μ-law has 28.8 MB.",
    )
    shutdown_grace_s: float = Field(
        25.0, gt=0, description="Maximum seconds that a process takes to finish its work after SIGTERM."
    )

    campaign_metrics: TextList = Field(
        default_factory=list,
        description="Comma-separated campaigns that have their own time series in `/metrics`, at most 20. All other "
        "campaigns are counted as `other`. If unset, metrics are not counted by campaign. See docs/metrics.md.",
    )

    otlp_endpoint: OneWord | None = Field(
        None,
        description="Base URL of an OpenTelemetry collector, e.g. `http://127.0.0.1:4318`. Traces are sent there by "
        "OTLP over HTTP. Off if unset. Needs the extra `otel`. See docs/monitoring.md.",
    )

    database_url: SecretUrl | None = Field(
        None,
        description="URL of the database: `postgresql://user:password@host/name`. If unset, the service starts "
        "an embedded Postgres in `AMD_DATA_DIR`. docs/production.md lists the options that the URL may have.",
    )
    database_listen_url: SecretUrl | None = Field(
        None,
        description="URL of a direct connection to the same database, for notifications. Set it if `AMD_DATABASE_URL` "
        "leads to a connection pooler such as PgBouncer. Without it, the service behind a pooler finds new work by "
        "polling.",
    )
    data_dir: ExpandedPath = Field(
        default_factory=default_data_dir, description="Data directory of the embedded Postgres."
    )
    database_pool_size: int = Field(10, ge=3, description="Maximum number of pooled connections per process.")

    @field_validator("campaign_metrics")
    @classmethod
    def _check_campaigns(cls, value: list[str]) -> list[str]:
        for campaign in value:
            if not is_name(campaign):
                raise ValueError(f"{campaign!r} is not a campaign: a campaign {NAME_RULE}")
        if len(set(value)) > MOST_CAMPAIGN_METRICS:
            raise ValueError(f"must have at most {MOST_CAMPAIGN_METRICS} campaigns; it has {len(set(value))}")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_otlp_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not is_web_url(value):
            raise ValueError(f"{value!r} must be a URL that begins with http:// or https://")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.lower().startswith(("http://", "https://")):
            raise ValueError("must begin with https:// (http:// for a loopback address), e.g. https://amd.example.com")
        parts = split_url(value)
        if parts.query or parts.fragment or parts.username:
            raise ValueError("must be https://host[:port][/prefix], without query, fragment or password")
        return value.rstrip("/")

    @property
    def is_published(self) -> bool:
        """Whether the public URL is set and is not a loopback URL."""
        return self.public_url is not None and not is_loopback(urlsplit(self.public_url).hostname or "")

    @property
    def is_local_only(self) -> bool:
        """Whether only this machine uses the service, so that clients need no API key.

        A service with a public URL is usually behind a proxy. If the proxy sends no forwarding header (nginx by
        default), every remote client has the address of the proxy, which is often this machine. So a service with a
        public URL always requires keys.
        """
        return not self.is_published and is_loopback(self.host)

    @property
    def local_url(self) -> str:
        """Base URL of `serve` for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def shutdown_budget(self) -> ShutdownBudget:
        """Seconds for each step of a shutdown."""
        return ShutdownBudget.of(self.shutdown_grace_s)

    def callback_url(self, path: str) -> str:
        """Return the URL of a webhook path, with RETRY_OVERRIDES.

        Raises ConfigurationError if AMD_PUBLIC_URL is not set.
        """
        if self.public_url is None:
            raise ConfigurationError(
                "AMD_PUBLIC_URL is not set: set it to the base URL for Twilio's requests to this service"
            )
        return f"{self.public_url}{path}{RETRY_OVERRIDES}"
