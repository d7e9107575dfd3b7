"""A call from Twilio's callbacks to a corrected verdict, as a person sees it."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from tests.support.audio_player import assert_waveform_is_drawn, until_played
from tests.support.postgres import empty
from tests.support.site import Site, new_call_sid
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.timeout(300)]

# Resolves with the time at which the row of the call has the label.
LABEL_SEEN = """([sid, label]) => new Promise((resolve) => {
  const look = () => document.querySelector(`#${sid} .label.${label}`) && resolve(Date.now());
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
  look();
})"""


async def test_the_row_of_a_call_gets_its_verdict_without_a_reload(
    site: Site, visits: Visits, record_testsuite_property: Callable[[str, object], None]
) -> None:
    page = await visits.open("/calls")
    call_sid = new_call_sid()
    seen = asyncio.create_task(page.evaluate(LABEL_SEEN, [call_sid, "human"]))
    await site.post_call("01-human-hello", call_sid=call_sid)
    verdict_at = (await site.analysed(call_sid)).verdict_at
    assert verdict_at is not None
    delay = datetime.fromtimestamp(await seen / 1000, UTC) - verdict_at
    record_testsuite_property("seconds_from_verdict_to_row", delay.total_seconds())
    # 1 s on a quiet machine. Chromium on a busy machine takes longer.
    assert delay.total_seconds() < 10


async def test_a_call_is_heard(site: Site, visits: Visits) -> None:
    call_sid = await site.post_call("01-human-hello")
    await site.analysed(call_sid)
    page = await visits.open(f"/calls/{call_sid}")
    player = page.locator("audio-player").first
    await assert_waveform_is_drawn(player)
    await page.keyboard.press("Space")
    await until_played(player)


async def test_a_wrong_verdict_is_corrected_by_keyboard_and_changes_the_error_rates(site: Site, visits: Visits) -> None:
    await empty(site.database)
    call = await site.analysed(await site.post_call("07-voicemail-carrier"))
    assert call.label == "voicemail"
    report = await visits.open("/review/report")
    rate = report.locator("section", has=report.get_by_role("heading", name="Humans called voicemail")).locator(
        ".figure"
    )
    await expect(rate).to_have_text("–")

    colleague = await visits.open("/calls")
    row = colleague.locator(f"#{call.call_sid}")
    await expect(row).to_contain_text("voicemail")

    page = await visits.open("/review")
    await assert_waveform_is_drawn(page.locator("audio-player"))
    await expect(page.locator("#review")).not_to_contain_text("voicemail", ignore_case=False)
    await page.keyboard.press("1")
    await expect(page.locator("#verdict")).to_contain_text(
        re.compile("Saved: *Human.*Our verdict: *voicemail", re.DOTALL)
    )

    # The colleague's list changes without a reload.
    await expect(row).to_contain_text("wrong")
    await report.reload()
    await expect(rate).to_have_text("100.0 %")
