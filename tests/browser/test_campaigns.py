"""The page of campaigns in Chromium."""

import pytest
from playwright.async_api import expect

from tests.support.accessibility import assert_accessible_everywhere
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_number_of_the_report_leads_to_its_calls(site: Site, visits: Visits) -> None:
    call = await site.analysed(await site.post_call("01-human-hello", query="campaign=in-the-report"))
    page = await visits.open("/campaigns?last=7d")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="in-the-report"))
    await expect(row).to_contain_text("no reviews")
    await assert_accessible_everywhere(page)
    await row.get_by_role("link", name="1", exact=True).click()
    await expect(page).to_have_url(f"{site.url}/calls?label=human&last=7d&campaign=in-the-report")
    await expect(page.locator(f"#{call.call_sid}")).to_be_visible()
