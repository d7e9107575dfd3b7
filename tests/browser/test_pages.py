"""Every page is accessible in both themes and widths, and refuses what a role may not do."""

import pytest
from playwright.async_api import expect

from amd_service.domain import Role
from tests.support.accessibility import assert_accessible_everywhere
from tests.support.audio_player import until_loaded
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_pages_about_calls_are_accessible(site: Site, visits: Visits) -> None:
    call_sid = await site.post_call("15-dual-callee-on-channel-2", query="campaign=spring")
    await site.analysed(call_sid)
    page = await visits.open(f"/calls/{call_sid}")
    await until_loaded(page.locator("audio-player"))
    await assert_accessible_everywhere(page)
    for path in ("/calls", "/campaigns"):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await assert_accessible_everywhere(page)


async def test_pages_about_reviews_are_accessible(site: Site, visits: Visits) -> None:
    await site.analysed(await site.post_call("01-human-hello"))
    page = await visits.open("/review")
    await until_loaded(page.locator("audio-player"))
    await assert_accessible_everywhere(page)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await assert_accessible_everywhere(page)
    await page.goto("/review/report")
    await assert_accessible_everywhere(page)


async def test_the_page_for_own_recordings_is_accessible(visits: Visits) -> None:
    page = await visits.open("/try")
    await page.get_by_role("button", name="A voicemail", exact=True).click()
    await expect(page.get_by_role("heading", name="Scores over time")).to_be_visible()
    await assert_accessible_everywhere(page)


async def test_a_viewer_sees_masked_numbers_and_may_not_review(guarded_site: Site, guarded_visits: Visits) -> None:
    call_sid = await guarded_site.post_call("26-no-answer")
    page = await guarded_visits.open("/calls", role=Role.VIEWER, allowed=["status of 403"])
    row = page.locator(f"#{call_sid}")
    await expect(row).to_contain_text("+15•••")
    await page.goto("/review")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Forbidden")
    admin = await guarded_visits.open("/calls", role=Role.ADMIN)
    await expect(admin.locator(f"#{call_sid}")).to_contain_text("+15005550126")


async def test_a_request_without_the_csrf_token_changes_nothing(guarded_site: Site, guarded_visits: Visits) -> None:
    page = await guarded_visits.open("/review/report", role=Role.REVIEWER, allowed=["status of 403"])
    status = await page.evaluate("() => fetch('/sign-out', { method: 'POST' }).then((response) => response.status)")
    assert status == 403
    await page.reload()
    await expect(page.get_by_role("banner")).to_contain_text("reviewer")
