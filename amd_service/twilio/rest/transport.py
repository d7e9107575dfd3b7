"""The `twilio` package's HTTP seam over our own client.

The package's own asynchronous client has no time-out and a pool of its own (docs/decisions/0008). Here every request
goes to the configured API origin, ends in time, and fails with our own errors, which say whether anything may have been
done.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from amd_service.errors import CredentialsRefused, OutcomeUnknown, RequestRefused, TooManyRequests, TwilioUnavailable
from amd_service.settings import Settings
from amd_service.telemetry import get_logger
from amd_service.twilio.retry_after import retry_after_s

log = get_logger(__name__)

# The request never left: nothing can have been done. A proxy's error is one of opening the tunnel through it.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class Transport(AsyncHttpClient):  # type: ignore[misc]
    """Sends one request. `per_s`: at most so many a second, None for no limit."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings, *, per_s: float | None) -> None:
        super().__init__(log, is_async=True)
        self._client = client
        self._origin = httpx2.URL(settings.api_origin)
        self._timeout_s = settings.twilio_timeout_s
        self._pause_s = 1 / per_s if per_s else 0.0
        self._turn = asyncio.Lock()

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the package's signature
        allow_redirects: bool = False,  # noqa: ARG002 - Twilio's API has none
    ) -> Response:
        """The answer, once it is one of success.

        Raises TwilioUnavailable (nothing was done; later it may be), RequestRefused, and OutcomeUnknown where a POST
        may have been carried out although no answer says so.
        """
        await self._wait_for_turn()
        # The package reads TWILIO_REGION and TWILIO_EDGE by itself and follows links in answers: the origin is ours.
        target = httpx2.URL(url).copy_with(scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port)
        request = self._client.build_request(method, target, params=params, data=data, headers=headers)
        try:
            async with asyncio.timeout(timeout or self._timeout_s):
                response = await self._client.send(request, auth=auth and httpx2.BasicAuth(*auth))
        except _NOT_SENT as error:
            raise TwilioUnavailable(f"{self._origin.host} cannot be reached: {type(error).__name__} {error}") from error
        except (TimeoutError, httpx2.RequestError) as error:
            raise self._lost(method, f"no answer from {self._origin.host}: {type(error).__name__} {error}") from error
        if not response.is_success:
            raise self._refusal(method, response)
        if response.status_code != 204 and not _is_object(response):
            raise self._lost(method, f"{self._origin.host} answered {response.status_code} without a JSON object")
        return Response(response.status_code, response.text, response.headers)

    async def _wait_for_turn(self) -> None:
        if self._pause_s:
            async with self._turn:
                await asyncio.sleep(self._pause_s)

    def _lost(self, method: str, message: str) -> Exception:
        return OutcomeUnknown(message) if method.upper() == "POST" else TwilioUnavailable(message)

    def _refusal(self, method: str, response: httpx2.Response) -> Exception:
        host, status = response.url.host, response.status_code
        if status == 429:
            wait_s = retry_after_s(response.headers.get("retry-after"))
            return TooManyRequests(f"{host} answered 429: too many requests", retry_after_s=wait_s)
        if status >= 500 or status < 400:
            return self._lost(method, f"{host} answered {status}")
        said, code = _said(response)
        message = f"Twilio refused ({status}): {said}" + (f" (Twilio's error {code})" if code else "")
        if status in (401, 403):
            message += (
                "; check TWILIO_API_KEY and TWILIO_API_SECRET or the auth token, and that they belong to the region"
            )
            return CredentialsRefused(message, code=code or status)
        return RequestRefused(message, code=code or status)


def _is_object(response: httpx2.Response) -> bool:
    try:
        return isinstance(json.loads(response.text), dict)
    except (ValueError, RecursionError):
        return False


def _said(response: httpx2.Response) -> tuple[str, int | None]:
    """Twilio's message and error code; both are absent from answers that are not its own."""
    try:
        said = json.loads(response.text)
        return str(said["message"]), int(said["code"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given", None
