"""A call from Twilio's callbacks to a corrected verdict, as a person sees it."""

import re

import pytest
from playwright.async_api import expect

from tests.support.audio_player import assert_waveform_is_drawn
from tests.support.postgres import empty
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.timeout(300)]


async def test_a_wrong_verdict_is_corrected_by_keyboard_and_changes_the_error_rates(site: Site, visits: Visits) -> None:
    await empty(site.database)
    call = await site.analysed(await site.post_call("07-voicemail-carrier"))
    assert call.label == "voicemail"
    report = await visits.open("/review/report")
    rate = report.locator("section", has=report.get_by_role("heading", name="Humans called voicemail")).locator(
        ".figure"
    )
    await expect(rate).to_have_text("–")

    page = await visits.open("/review")
    await assert_waveform_is_drawn(page.locator("audio-player"))
    await expect(page.locator("#review")).not_to_contain_text("voicemail", ignore_case=False)
    await page.keyboard.press("1")
    await expect(page.locator("#verdict")).to_contain_text(
        re.compile("Saved: *Human.*Our verdict: *voicemail", re.DOTALL)
    )

    # The report is open in another browser.
    await report.reload()
    await expect(rate).to_have_text("100.0 %")
