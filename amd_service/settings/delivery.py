"""Settings of deliveries: signed POST requests that tell a backend about verdicts."""

import base64
import binascii
import ipaddress
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

from amd_service.settings.access import Network
from amd_service.settings.types import SecretList, TextList, is_web_url

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret, see standardwebhooks.com
# Standard Webhooks demands 24 to 64 random bytes.
_SECRET_BYTES = range(24, 65)


class DeliverySettings(BaseModel):
    """Where verdicts are delivered, and how."""

    delivery_url: TextList = Field(
        default_factory=list,
        description="Comma-separated URLs of your backends. Each new or changed result of a call is posted to each of "
        "them as signed JSON. Set the same URLs for every process of the service. See docs/deliveries.md.",
    )
    delivery_secret: SecretList = Field(
        default_factory=list,
        description="Comma-separated secrets that sign deliveries: `whsec_` and 24 to 64 random bytes in base64. "
        "Deliveries are signed with each of them. To change a secret, set both, then change the backends, then remove "
        "the old one. Required by `AMD_DELIVERY_URL`.",
    )
    delivery_networks: TextList = Field(
        default_factory=list,
        description="Comma-separated private networks to which deliveries may go, e.g. `10.0.0.0/8`. All other "
        "private, loopback, link-local and multicast addresses are refused, whatever the name server says.",
    )
    delivery_timeout_s: float = Field(
        10.0, gt=0, le=60, description="Maximum seconds that a backend may take to answer a delivery."
    )
    delivery_at_once: int = Field(
        8, ge=1, le=100, description="Maximum number of deliveries that one worker sends to one URL at the same time."
    )
    delivery_days: float = Field(
        30.0,
        ge=1,
        description="Days after which finished deliveries are deleted. A deleted delivery can no longer be sent again.",
    )

    @field_validator("delivery_url")
    @classmethod
    def _check_urls(cls, value: list[str]) -> list[str]:
        for url in value:
            if not is_web_url(url):
                raise ValueError("must be http(s) URLs such as https://backend.example.com/amd")
            parts = urlsplit(url)
            if parts.username or parts.password or parts.fragment:
                raise ValueError("must be URLs without user, password and fragment: deliveries are signed instead")
        return list(dict.fromkeys(value))

    @field_validator("delivery_secret")
    @classmethod
    def _check_secrets(cls, value: SecretList) -> SecretList:
        for secret in value:
            prefix, _, key = secret.get_secret_value().partition("_")
            if f"{prefix}_" != SECRET_PREFIX or _decoded_length(key) not in _SECRET_BYTES:
                raise ValueError(
                    "must be whsec_ and 24 to 64 random bytes in base64: make one with "
                    '`echo "whsec_$(openssl rand -base64 32)"`'
                )
        return value

    @field_validator("delivery_networks")
    @classmethod
    def _check_delivery_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"must be networks such as 10.0.0.0/8, not {network!r}") from None
        return value

    @model_validator(mode="after")
    def _check_delivery(self) -> Self:
        if self.delivery_url and not self.delivery_secret:
            raise ValueError(
                'AMD_DELIVERY_URL needs AMD_DELIVERY_SECRET: make one with `echo "whsec_$(openssl rand -base64 32)"`'
            )
        return self

    @property
    def delivery_allowed_networks(self) -> list[Network]:
        """The parsed networks of AMD_DELIVERY_NETWORKS."""
        return [ipaddress.ip_network(network) for network in self.delivery_networks]


def _decoded_length(key: str) -> int:
    """Return the number of bytes of a base64 text, or 0 if it is not base64."""
    try:
        return len(base64.b64decode(key, validate=True))
    except binascii.Error:
        return 0
