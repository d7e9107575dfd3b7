"""Wait for a change that another task or process makes."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

TIMEOUT_S = 60.0
POLL_S = 0.01


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout_s: float = TIMEOUT_S, poll_s: float = POLL_S
) -> None:
    """Return once `condition` is true. Raises TimeoutError after `timeout_s` seconds."""
    async with asyncio.timeout(timeout_s):
        while not await _holds(condition):  # noqa: ASYNC110 - the change may come from another process
            await asyncio.sleep(poll_s)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = condition()
    return await answer if isawaitable(answer) else answer
