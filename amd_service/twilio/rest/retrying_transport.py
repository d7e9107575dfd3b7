"""Transport for interactive commands: retries GETs after a 429."""

from typing import Any

from twilio.http.response import Response

from amd_service.errors import TooManyRequests
from amd_service.telemetry import get_logger
from amd_service.twilio.rest.transport import Transport

log = get_logger(__name__)

# Seconds before each retry of a request: two minutes in total, unless Twilio asks for longer delays.
PAUSES_S = (4.0, 8.0, 16.0, 32.0, 60.0)
MAX_PAUSE_S = 60.0


class RetryingTransport(Transport):
    """Retries a GET after a 429, once per delay in PAUSES_S. A longer delay in `Retry-After` is respected.

    Raises TooManyRequests after the last retry, or immediately if Twilio asks for a delay of more than a minute.
    """

    async def request(self, method: str, *args: Any, **kwargs: Any) -> Response:
        """Send a request like `Transport.request`, with retries."""
        for pause_s in PAUSES_S if method.upper() == "GET" else ():
            try:
                return await super().request(method, *args, **kwargs)
            except TooManyRequests as error:
                wait_s = max(error.retry_after_s or 0.0, pause_s)
                if wait_s > MAX_PAUSE_S:
                    raise
                log.warning("Twilio rate limit", status=429, wait_s=wait_s)
            await self._sleep(wait_s)
        return await super().request(method, *args, **kwargs)
