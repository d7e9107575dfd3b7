"""Asking on behalf of somebody who stands by: where Twilio wants to be left alone, that is waited for."""

from asyncio import sleep
from typing import Any

from twilio.http.response import Response

from amd_service.errors import TooManyRequests
from amd_service.telemetry import get_logger
from amd_service.twilio.rest.transport import Transport

log = get_logger(__name__)

# Between one refusal of a request and the next: two minutes' worth, if Twilio does not ask for more.
PAUSES_S = (4.0, 8.0, 16.0, 32.0, 60.0)
LONGEST_S = 60.0


class RetryingTransport(Transport):
    """A transport that repeats a GET which Twilio answers 429, as often as there are pauses and not before Retry-After.

    Raises TooManyRequests after the last one, and at once where Twilio asks for more than a minute.
    """

    async def request(self, method: str, *args: Any, **given: Any) -> Response:
        """As Transport does."""
        for pause_s in PAUSES_S if method.upper() == "GET" else ():
            try:
                return await super().request(method, *args, **given)
            except TooManyRequests as error:
                wait_s = max(error.retry_after_s or 0.0, pause_s)
                if wait_s > LONGEST_S:
                    raise
                log.warning("waiting: Twilio answered 429", wait_s=wait_s)
            await sleep(wait_s)
        return await super().request(method, *args, **given)
