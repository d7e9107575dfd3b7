"""HTTP transport for the `twilio` package, based on the HTTP client of this service.

The package's asynchronous client has no timeout and uses a separate connection pool (docs/decisions/0008). This
transport sends every request to the configured API origin and enforces a timeout. The type of a raised error shows
whether Twilio may have carried out the request.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from amd_service.errors import CredentialsRefused, OutcomeUnknown, RequestRefused, TooManyRequests, TwilioUnavailable
from amd_service.settings import Settings, is_loopback
from amd_service.telemetry import get_logger
from amd_service.twilio.retry_after import retry_after_s

log = get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]

# After these errors Twilio has done nothing, because the request was never sent. A ProxyError means that the proxy did
# not open the tunnel.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class Transport(AsyncHttpClient):  # type: ignore[misc]
    """Sends requests to Twilio's API. `per_s`: maximum requests per second, None for no limit.

    `product`: first part of the host name, e.g. `insights`. Another host, such as a simulated Twilio, has all products.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        settings: Settings,
        *,
        per_s: float | None,
        product: str = "api",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(log, is_async=True)
        self._client = client
        self._origin = httpx2.URL(settings.api_origin.replace("https://api.", f"https://{product}.", 1))
        self._timeout_s = settings.twilio_timeout_s
        self._pause_s = 1 / per_s if per_s else 0.0
        self._pause_lock = asyncio.Lock()
        self._sleep = sleep

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the package's signature
        allow_redirects: bool = False,  # noqa: ARG002 - Twilio's API does not redirect
    ) -> Response:
        """Send a request and return its successful response.

        Raises TwilioUnavailable if Twilio changed nothing and a retry may help. Raises RequestRefused if Twilio refused
        the request. Raises OutcomeUnknown if Twilio may have carried out a POST, but there is no valid response.
        """
        if self._pause_s:
            async with self._pause_lock:
                await self._sleep(self._pause_s)
        # The `twilio` package takes the host from TWILIO_REGION, TWILIO_EDGE or a link in a response.
        # Use the configured origin instead.
        target = httpx2.URL(url).copy_with(scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port)
        request = self._client.build_request(method, target, params=params, data=data, headers=headers)
        response = await self._send(request, auth, timeout or self._timeout_s)
        if not response.is_success:
            raise _error_of(response)
        if response.status_code != 204 and _json_object(response) is None:
            message = f"{self._origin.host} responded with {response.status_code} but without a JSON object"
            raise _lost_response(method, message)
        return Response(response.status_code, response.text, response.headers)

    async def _send(self, request: httpx2.Request, auth: tuple[str, str] | None, timeout_s: float) -> httpx2.Response:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._client.send(request, auth=auth and httpx2.BasicAuth(*auth))
        except _NOT_SENT as error:
            origin = f"{self._origin.scheme}://{self._origin.netloc.decode()}"
            raise TwilioUnavailable(f"{origin} cannot be reached: {type(error).__name__} {error}") from error
        except (TimeoutError, httpx2.RequestError) as error:
            message = f"no response from {self._origin.host}: {type(error).__name__} {error}"
            raise _lost_response(request.method, message) from error


def _lost_response(method: str, message: str) -> OutcomeUnknown | TwilioUnavailable:
    return OutcomeUnknown(message) if method.upper() == "POST" else TwilioUnavailable(message)


def _error_of(response: httpx2.Response) -> OutcomeUnknown | TwilioUnavailable | RequestRefused:
    host, status = response.url.host, response.status_code
    if status == 429:
        wait_s = retry_after_s(response.headers.get("retry-after"))
        return TooManyRequests(f"{host} responded with 429: too many requests", retry_after_s=wait_s)
    if status >= 500 or status < 400:
        return _lost_response(response.request.method, f"{host} responded with {status}")
    reason, code = _reason_and_code(response)
    message = f"Twilio refused ({status}): {reason}" + (f" (Twilio's error {code})" if code else "")
    if status in (401, 403):
        cure = "check TWILIO_API_KEY and TWILIO_API_SECRET or the auth token, and that they belong to the region"
        if is_loopback(host):  # each start of `simulate` can create a new account
            cure += "; if `amd-service simulate` was started again, paste its new lines"
        return CredentialsRefused(f"{message}; {cure}", code=code or status)
    return RequestRefused(message, code=code or status)


def _json_object(response: httpx2.Response) -> dict[str, Any] | None:
    try:
        found = json.loads(response.text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _reason_and_code(response: httpx2.Response) -> tuple[str, int | None]:
    """Return Return Twilio's message and error code. The code is None if a proxy or another server responded."""
    details = _json_object(response) or {}
    try:
        return str(details["message"]), int(details["code"])
    except (ValueError, KeyError, TypeError):
        return "no reason given", None
