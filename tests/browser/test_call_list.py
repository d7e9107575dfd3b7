"""The list of calls in Chromium."""

import re

import pytest
from playwright.async_api import expect

from amd_service.domain import Role
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


async def test_back_shows_the_filter_before(site: Site, visits: Visits) -> None:
    page = await visits.open("/calls")
    await page.get_by_role("checkbox", name="voicemail").check()
    await page.wait_for_url("**/calls?label=voicemail")
    await page.get_by_label("Period").select_option("last 7 days")
    await page.wait_for_url("**/calls?label=voicemail&last=7d")
    await page.go_back()
    await expect(page.get_by_label("Filters in use")).not_to_contain_text("last 7 days")
    await expect(page.get_by_label("Period")).to_have_value("")
    await expect(page.get_by_role("checkbox", name="voicemail")).to_be_checked()


async def test_times_are_typed_in_the_time_zone_of_the_reader(visits: Visits) -> None:
    page = await visits.open("/calls?last=7d&reviewed=no", timezone_id="Asia/Tokyo")
    await page.get_by_text("More filters").click()
    await page.get_by_label("From (your time)").fill("2026-11-01T10:00")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**since=2026-11-01T01%3A00%3A00Z**")
    await page.reload()
    await expect(page.get_by_label("From (your time)")).to_have_value("2026-11-01T10:00")


async def test_the_list_works_without_script(site: Site, visits: Visits) -> None:
    call_sid = await site.post_call("01-human-hello", query="campaign=without-script")
    await site.analysed(call_sid)
    page = await visits.open("/calls", java_script_enabled=False)
    await page.get_by_text("More filters").click()
    await page.get_by_label("Campaign").fill("without-script")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**/calls?campaign=without-script")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator(f"#{call_sid}")).to_contain_text("human")


async def test_keys_move_between_search_and_rows(site: Site, visits: Visits) -> None:
    for _ in range(2):
        await site.analysed(await site.post_call("01-human-hello", query="campaign=keys"))
    page = await visits.open("/calls?campaign=keys")
    links = page.locator("tbody a")
    await page.keyboard.press("j")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await expect(links.nth(1)).to_be_focused()
    await page.keyboard.press("k")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_label("CallSid, RecordingSid or called number")).to_be_focused()
    await page.keyboard.type("jk/")
    await expect(page.get_by_label("CallSid, RecordingSid or called number")).to_have_value("jk/")


async def test_an_error_of_the_service_is_shown_and_the_list_stays(site: Site, visits: Visits) -> None:
    page = await visits.open("/calls", allowed=["400", "ERR_FAILED", "Failed to fetch"])
    rows = await page.locator("#results tbody").last.inner_text()
    await page.get_by_label("Period").evaluate("select => { select.options[1].value = 'soon'; }")
    await page.get_by_label("Period").select_option("soon")
    await expect(page.get_by_role("alert")).to_contain_text("not a timespan")
    await page.route("**/calls?**", lambda route: route.abort())
    await page.get_by_role("checkbox", name="human").check()
    await expect(page.get_by_role("alert")).to_have_text("The service cannot be reached. Try again.")
    assert await page.locator("#results tbody").last.inner_text() == rows


async def test_a_view_is_saved_for_everybody_and_changed_by_reviewers(guarded_visits: Visits) -> None:
    page = await guarded_visits.open("/calls?label=human&last=7d", role=Role.REVIEWER)
    await page.get_by_text("Save or change views").click()
    await page.get_by_label("Save these filters for everybody as").fill("Humans of the week")
    await page.get_by_role("button", name="Save").click()
    views = page.get_by_role("navigation", name="Views")
    await expect(views.get_by_role("link", name="Humans of the week")).to_have_attribute("aria-current", "page")
    other = await guarded_visits.open("/calls", role=Role.VIEWER)
    await other.get_by_role("link", name="Humans of the week").click()
    await other.wait_for_url("**/calls?label=human&last=7d")
    await expect(other.get_by_text("Save or change views")).to_have_count(0)
    await page.get_by_text("Save or change views").click()
    await page.get_by_label("New name of Humans of the week").fill("Humans")
    await page.get_by_role("button", name="Rename").click()
    await expect(views.get_by_role("link", name="Humans", exact=True)).to_be_visible()
    await page.get_by_text("Save or change views").click()
    await assert_accessible(page)
    await page.get_by_role("group", name="View Humans").get_by_role("button", name="Delete").click()
    await expect(views.get_by_role("link")).to_have_text(["All calls"])


async def test_the_calls_are_exported_as_a_file(site: Site, visits: Visits) -> None:
    call_sid = await site.post_call("01-human-hello", query="campaign=export")
    await site.analysed(call_sid)
    page = await visits.open("/calls?campaign=export")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Export CSV").click()
    exported = await download.value
    assert exported.suggested_filename == "calls.csv"
    lines = (await exported.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert call_sid in lines[1]
