"""Lookups of sessions, keys and names are reused for a few seconds."""

import asyncio

import pytest

from amd_service.domain import Principal
from amd_service.errors import DatabaseUnavailable
from amd_service.web.recent_lookups import REUSE_S, RecentLookups

pytestmark = pytest.mark.anyio

ANN = Principal("ann", frozenset(), sees_numbers=False)
KEY = ("session", "1")


class Lookup:
    """A lookup that waits until it is released."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self.released = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self) -> Principal | None:
        self.count += 1
        await self.released.wait()
        if self.fault is not None:
            raise self.fault
        return ANN


async def test_requests_at_the_same_time_share_one_lookup() -> None:
    look_up = Lookup()
    lookups = RecentLookups(lambda: look_up.now)
    tasks = [asyncio.create_task(lookups.find(KEY, look_up)) for _ in range(300)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    look_up.released.set()
    assert await asyncio.gather(*tasks[1:]) == [ANN] * 299
    assert (await lookups.find(KEY, look_up), look_up.count) == (ANN, 1)
    look_up.now += REUSE_S + 1
    assert (await lookups.find(KEY, look_up), look_up.count) == (ANN, 2)


async def test_a_lookup_from_before_the_sign_out_is_not_kept() -> None:
    look_up = Lookup()
    lookups = RecentLookups(lambda: look_up.now)
    before = asyncio.create_task(lookups.find(KEY, look_up))
    await asyncio.sleep(0)
    lookups.forget(KEY)
    look_up.released.set()
    await before
    await lookups.find(KEY, look_up)
    assert look_up.count == 2


async def test_an_outage_is_not_kept() -> None:
    look_up = Lookup()
    look_up.released.set()
    look_up.fault = DatabaseUnavailable("down")
    lookups = RecentLookups(lambda: look_up.now)
    with pytest.raises(DatabaseUnavailable):
        await lookups.find(KEY, look_up)
    look_up.fault = None
    assert await lookups.find(KEY, look_up) == ANN
