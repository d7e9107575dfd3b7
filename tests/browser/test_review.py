"""The review page with the keyboard only."""

import pytest
from playwright.async_api import expect

from tests.support.accessibility import assert_accessible, assert_accessible_everywhere
from tests.support.audio_player import until_loaded, until_played
from tests.support.postgres import empty
from tests.support.review_rows import stored_reviews
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_calls_are_reviewed_with_the_keyboard_only(site: Site, visits: Visits) -> None:
    await empty(site.database)
    for name in ("08-voicemail-personal", "07-voicemail-carrier", "12-voicemail-german"):
        await site.analysed(await site.post_call(name))
    page = await visits.open("/review")
    heading, verdict = page.locator("#call-heading"), page.locator("#verdict")
    first = await page.locator("#answer input[name=call]").input_value()

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("2")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()

    await page.keyboard.press("n")
    await page.keyboard.type("says 1 and 2, u and s")
    await page.keyboard.press("Escape")
    await page.keyboard.press("2")
    await expect(verdict).to_contain_text("Saved: Voicemail")
    await expect(heading).to_be_focused()
    await expect(page.get_by_role("status")).to_contain_text("Saved: Voicemail")

    # The next call plays by itself, because the reader has pressed a key.
    await until_played(page.locator("audio-player"))

    await page.keyboard.press("u")
    await expect(heading).to_contain_text("Correct your answer: Voicemail")
    assert await page.locator("#answer input[name=call]").input_value() == first
    await page.keyboard.press("3")
    await expect(verdict).to_contain_text("Saved: Screening")

    second = await page.locator("#answer input[name=call]").input_value()
    await page.keyboard.press("s")
    await expect(page.locator("#answer input[name=call]")).not_to_have_value(second)
    reviews = await stored_reviews(site.database)
    assert [(review.call_sid, review.answer) for review in reviews] == [(first, "voicemail"), (first, "screening")]
    assert {review.note for review in reviews} == {"says 1 and 2, u and s"}


async def test_a_recording_that_is_gone_is_skipped_without_an_answer(site: Site, visits: Visits) -> None:
    await empty(site.database)
    for name in ("07-voicemail-carrier", "01-human-hello"):
        await site.analysed(await site.post_call(name))
    site.scene.simulated_twilio.media.files.clear()
    page = await visits.open("/review", allowed=["status of 404", "status of 410", "status of 502"])
    first = await page.locator("#answer input[name=call]").input_value()
    await page.get_by_role("button", name="Skip: cannot listen").click()
    await expect(page.locator("#answer input[name=call]")).not_to_have_value(first)
    assert await stored_reviews(site.database) == []


async def test_the_pages_are_accessible_in_both_themes_and_widths(site: Site, visits: Visits) -> None:
    await empty(site.database)
    for name in ("07-voicemail-carrier", "01-human-hello"):
        await site.analysed(await site.post_call(name, query="campaign=spring"))
    page = await visits.open("/review")
    await page.keyboard.press("2")
    await expect(page.locator("#verdict")).to_be_visible()
    await until_loaded(page.locator("audio-player"))
    await assert_accessible_everywhere(page)
    await page.keyboard.press("?")
    await assert_accessible(page)
    await page.goto("/review?queue=undecided")
    await assert_accessible_everywhere(page)
    await page.goto("/review/report")
    await expect(page.get_by_role("heading", name="By campaign")).to_be_visible()
    await assert_accessible_everywhere(page)
