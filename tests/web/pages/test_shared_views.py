"""A view is rendered once for all pages that show it."""

import asyncio

import pytest

from amd_service.database.pool import Database
from amd_service.operations.change_feed import ChangeFeed
from amd_service.telemetry import Metrics
from amd_service.web.pages.shared_views import MOST_VIEWS, SharedViews

pytestmark = pytest.mark.anyio


class Rendering:
    """Counts the renderings, and how many run at once."""

    def __init__(self) -> None:
        self.count = 0
        self.running = 0
        self.most_running = 0

    async def __call__(self) -> bytes:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.count += 1
        return b"%d" % self.count


@pytest.fixture
def feed(closed_database: Database) -> ChangeFeed:
    return ChangeFeed(closed_database, Metrics())


async def test_fifty_pages_with_the_same_view_cost_one_rendering_for_each_change(feed: ChangeFeed) -> None:
    views, render = SharedViews(feed), Rendering()
    assert await asyncio.gather(*(views.read("key", render) for _ in range(50))) == [b"1"] * 50
    feed.version += 1
    assert await asyncio.gather(*(views.read("key", render) for _ in range(50))) == [b"2"] * 50


async def test_different_views_are_rendered_one_after_another(feed: ChangeFeed) -> None:
    views, render = SharedViews(feed), Rendering()
    await asyncio.gather(*(views.read(number, render) for number in range(20)))
    assert (render.count, render.most_running) == (20, 1)


async def test_a_failed_rendering_is_tried_again(feed: ChangeFeed) -> None:
    views, render = SharedViews(feed), Rendering()

    async def fail() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await views.read("key", fail)
    assert await views.read("key", render) == b"1"


async def test_the_number_of_kept_views_is_limited(feed: ChangeFeed) -> None:
    views, render = SharedViews(feed), Rendering()
    for number in range(MOST_VIEWS + 1):
        await views.read(number, render)
    assert await views.read(MOST_VIEWS, render) == b"%d" % (MOST_VIEWS + 1)
    assert await views.read(0, render) == b"%d" % (MOST_VIEWS + 2)
