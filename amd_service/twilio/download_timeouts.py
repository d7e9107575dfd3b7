"""Time limits of downloads: short for the first download of a recording, longer after each time-out.

A slow download holds one of the worker's slots. With a short first limit, a few slow recordings cannot delay the other
recordings for long. The limits are kept in memory: after a restart, each recording starts with the short limit again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from amd_service.domain import RecordingSid
from amd_service.errors import TwilioUnavailable

# Maximum number of slow recordings to remember. An outage of Twilio can make every recording slow.
MAX_REMEMBERED = 10_000


class DownloadTimeouts:
    """Limits the time of each download.

    `first_s`: limit of the first download of a recording, in seconds. Each time-out doubles the limit, up to
    `longest_s`. `max_long`: maximum number of concurrent downloads with a longer limit than `first_s`. Further slow
    recordings get the limit `first_s`, so that slow recordings never hold all slots for long.
    """

    def __init__(self, *, first_s: float, longest_s: float, max_long: int) -> None:
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._free_long = max_long
        self._limits: OrderedDict[RecordingSid, float] = OrderedDict()

    @asynccontextmanager
    async def limit(self, recording_sid: RecordingSid) -> AsyncIterator[None]:
        """Limit the time of a download. Raises TwilioUnavailable after the limit.

        A time-out of the HTTP client inside the context also makes the next limit longer.
        """
        wanted_s = self._limits.get(recording_sid, self._first_s)
        is_long = wanted_s > self._first_s and self._free_long > 0
        limit_s = wanted_s if is_long else self._first_s
        self._free_long -= is_long
        try:
            async with asyncio.timeout(limit_s):
                yield
        except (TimeoutError, httpx2.TimeoutException) as error:
            if limit_s == wanted_s:
                self._remember(recording_sid, min(2 * limit_s, self._longest_s))
            if isinstance(error, httpx2.TimeoutException):
                raise
            raise TwilioUnavailable(f"the download took longer than {limit_s:g} s") from error
        else:
            self._limits.pop(recording_sid, None)
        finally:
            self._free_long += is_long

    def _remember(self, recording_sid: RecordingSid, limit_s: float) -> None:
        self._limits[recording_sid] = limit_s
        self._limits.move_to_end(recording_sid)
        if len(self._limits) > MAX_REMEMBERED:
            self._limits.popitem(last=False)
