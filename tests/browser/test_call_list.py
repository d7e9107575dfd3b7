"""The list of calls in Chromium."""

import re

import pytest
from playwright.async_api import expect

from tests.support.accessibility import assert_accessible, assert_accessible_everywhere
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_the_list_is_accessible(site: Site, visits: Visits) -> None:
    call_sid = await site.post_call("01-human-hello")
    await site.analysed(call_sid)
    page = await visits.open("/calls")
    await expect(page.locator(f"#{call_sid}").get_by_text("human", exact=True).first).to_be_visible()
    await page.get_by_text("More filters").click()
    await assert_accessible_everywhere(page)


async def test_a_filter_is_part_of_the_url(site: Site, visits: Visits) -> None:
    human = await site.analysed(await site.post_call("01-human-hello"))
    voicemail = await site.analysed(await site.post_call("07-voicemail-carrier"))
    page = await visits.open("/calls")
    await page.get_by_role("checkbox", name="voicemail").check()
    await expect(page.locator(f"#{human.call_sid}")).to_be_hidden()
    await expect(page.locator(f"#{voicemail.call_sid}")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"label=voicemail"))
    same = await visits.open(page.url)
    await expect(same.locator(f"#{voicemail.call_sid}")).to_be_visible()
    await expect(same.locator(f"#{human.call_sid}")).to_be_hidden()


async def test_an_empty_result_offers_all_calls(site: Site, visits: Visits) -> None:
    page = await visits.open("/calls?campaign=unheard-of")
    await expect(page.get_by_text("No call matches these filters.")).to_be_visible()
    await assert_accessible(page)
