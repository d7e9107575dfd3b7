"""Reads a running service's API during a replay."""

from dataclasses import dataclass

import httpx2
from pydantic import JsonValue

from amd_service.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ServiceClient:
    """Client of the API of the service at `url`. `api_key`: not sent to webhooks, as Twilio has no API key."""

    client: httpx2.AsyncClient
    url: str
    api_key: str | None

    async def require_recordings_from(self, twilio_url: str) -> None:
        """Raise ConfigurationError unless the service is reachable and fetches its recordings from `twilio_url`."""
        try:
            response = await self._get("/model-info")
        except httpx2.TransportError as error:
            raise ConfigurationError(
                f"no service responds at {self.url}: start it with `amd-service serve`, or set its address with --url"
            ) from error
        if response.status_code in (401, 403):
            detail = _json_object(response).get("detail")
            raise ConfigurationError(
                f"{self.url} requires an API key: set AMD_API_KEYS to the same value as for the service ({detail})"
            )
        configured = _json_object(response).get("twilio_api_url")
        if configured != twilio_url:
            raise ConfigurationError(
                f"the service at {self.url} fetches recordings from {configured}, not from the simulated Twilio: "
                f"start it with AMD_TWILIO_API_URL={twilio_url}"
            )

    async def read_call(self, call_sid: str) -> dict[str, JsonValue]:
        """Read the call's row.

        Returns an empty row if none exists, or if the service does not respond (for example, restarts).
        """
        try:
            response = await self._get(f"/api/calls/{call_sid}")
        except httpx2.TransportError:
            return {}
        return _json_object(response) if response.status_code == 200 else {}

    async def _get(self, path: str) -> httpx2.Response:
        headers = {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"}
        return await self.client.get(f"{self.url}{path}", headers=headers)


def _json_object(response: httpx2.Response) -> dict[str, JsonValue]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
