"""Settings that say who may use the service."""

import ipaddress
import re
from typing import Self

from pydantic import BaseModel, Field, field_validator, model_validator

from amd_service.settings.types import SecretList, TextList

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AccessSettings(BaseModel):
    """API keys, sessions, and a proxy that signs people in."""

    api_keys: SecretList = Field(
        default_factory=list,
        description="Comma-separated API keys with all scopes. `amd-service key add` makes keys with fewer scopes. If "
        "neither a key nor a person exists, only loopback clients have access.",
    )
    session_hours: float = Field(
        12.0, gt=0, le=24 * 90, description="Hours after which a person must sign in to the pages again."
    )
    user_header: str | None = Field(
        None,
        description="Header in which a proxy sends the name of the person it signed in, e.g. `X-Forwarded-User`. "
        "Requires `AMD_TRUSTED_PROXIES`. Each person needs a row: `amd-service person add NAME --proxy-only`.",
    )
    trusted_proxies: TextList = Field(
        default_factory=list,
        description="Comma-separated addresses or networks of your proxies, e.g. `127.0.0.1` or `10.0.0.0/8`. The "
        "service believes their `AMD_USER_HEADER`, and takes the address of a client from their `X-Forwarded-For`. The "
        "proxies must delete `AMD_USER_HEADER` from requests of clients.",
    )

    @field_validator("user_header")
    @classmethod
    def _check_header(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"[A-Za-z0-9-]+", value) is None:
            raise ValueError("must be the name of a header, e.g. X-Forwarded-User")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            try:
                parsed = ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"must be addresses or networks such as 10.0.0.0/8, not {network!r}") from None
            if parsed.prefixlen == 0:
                raise ValueError(f"must not be every address: with {network}, each client could choose its name")
        return value

    @model_validator(mode="after")
    def _check_proxy(self) -> Self:
        if self.user_header and not self.trusted_proxies:
            raise ValueError(
                "AMD_USER_HEADER needs AMD_TRUSTED_PROXIES: set it to the addresses of the proxy that sends the header"
            )
        return self

    @property
    def trusted_networks(self) -> list[Network]:
        """The parsed networks of AMD_TRUSTED_PROXIES."""
        return [ipaddress.ip_network(network) for network in self.trusted_proxies]
