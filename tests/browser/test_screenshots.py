"""The screenshots of the documentation. `make screenshots` writes them to docs/images; other runs only check them."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from amd_service.domain import CallSid
from tests.support.audio_player import until_loaded
from tests.support.example_calls import DAY_BEGAN, store_example_calls
from tests.support.postgres import empty
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

MAX_BYTES = 200_000
HEIGHT = 1000
SHOWN = CallSid(f"CA{7:032x}")
DAY = f"since={DAY_BEGAN:%Y-%m-%dT%H:%M:%SZ}&until={DAY_BEGAN + timedelta(hours=10):%Y-%m-%dT%H:%M:%SZ}"
# Moves the times of the shown call into the invented day, so that the screenshots of every run are alike.
FIXED_TIMES = """
update call_log set created_at = :at, started_at = :at, answered_at = :at, ended_at = :at, verdict_at = :at,
                    answer_to_verdict_ms = 1200, campaign = 'spring-offer'
 where call_sid = :sid
"""


async def test_the_screenshots_of_the_documentation_are_small(site: Site, visits: Visits, tmp_path: Path) -> None:
    folder = Path(os.environ.get("AMD_TEST_SCREENSHOTS", tmp_path))
    await empty(site.database)
    await store_example_calls(site.database)
    await site.analysed(await site.post_call("08-voicemail-personal", call_sid=SHOWN))
    async with site.database.transaction() as session:
        await session.execute(text(FIXED_TIMES), {"at": DAY_BEGAN + timedelta(hours=9), "sid": SHOWN})
    page = await visits.open("/calls?" + DAY)
    await page.set_viewport_size({"width": 1280, "height": HEIGHT})
    await page.get_by_text("More filters").click()
    await expect(page.locator("#rows tbody tr").first).to_be_visible()
    await expect(page.locator("canvas").first).to_be_visible()
    await _take(page, folder / "calls.png")

    await page.goto(f"/calls/{SHOWN}")
    await until_loaded(page.locator("audio-player"))
    await _take(page, folder / "call.png")

    await page.goto("/review")
    await until_loaded(page.locator("audio-player"))
    await _take(page, folder / "review.png")

    await page.goto("/try")
    await page.get_by_role("button", name="A voicemail", exact=True).click()
    await expect(page.locator("#facts")).to_contain_text("Decided in")
    await _take(page, folder / "try.png")


async def _take(page: Page, path: Path) -> None:
    await page.evaluate("() => document.fonts.ready")
    image = await page.screenshot(path=path, animations="disabled", caret="hide")
    assert len(image) < MAX_BYTES
