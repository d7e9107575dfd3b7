"""The page of a call in Chromium: the recording plays, the call is analysed again, and numbers stay hidden."""

import re

import pytest
from playwright.async_api import Page, expect

from amd_service.domain import Role
from tests.support.site import Site
from tests.support.visits import Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

HUMAN = "01-human-hello"


async def current_time(page: Page) -> float:
    seconds: float = await page.locator("audio").evaluate("audio => audio.currentTime")
    return seconds


async def open_judged(visits: Visits, site: Site, name: str = HUMAN, **options: object) -> Page:
    call_sid = await site.post_call(name)
    await site.analysed(call_sid)
    page = await visits.open(f"/calls/{call_sid}", **options)  # type: ignore[arg-type]
    await expect(page.get_by_role("button", name="Play")).to_be_enabled()
    return page


async def test_the_recording_is_drawn_and_plays(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site)
    await expect(page.locator("audio-player .waveform canvas").first).to_be_visible()
    await expect(page.get_by_text("The model heard")).to_be_visible()
    await page.keyboard.press(" ")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.wait_for_timeout(500)
    assert await current_time(page) > 0


async def test_a_beep_is_marked_in_the_waveform_where_it_sounds(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site, "08-voicemail-personal")
    player = page.locator("audio-player")
    await expect(player).to_contain_text("Beep at 6.0 s")
    beep = await player.locator("[part~=beep]").bounding_box()
    wave = await player.locator("[part~=wrapper]").bounding_box()
    assert beep is not None
    assert wave is not None
    duration_s: float = await player.locator("audio").evaluate("audio => audio.duration")
    assert (beep["x"] - wave["x"]) / wave["width"] * duration_s == pytest.approx(6.0, abs=0.05)
    assert beep["width"] / wave["width"] * duration_s == pytest.approx(0.39, abs=0.05)


async def test_a_new_analysis_appears_beside_the_old_one(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site)
    runs = page.get_by_role("region", name="Model runs").locator("tbody tr")
    await expect(runs).to_have_count(1)
    await page.get_by_role("button", name="Analyse again").click()
    await expect(page.get_by_text(re.compile("being analysed again"))).to_be_visible()
    await expect(runs).to_have_count(2)


async def test_one_key_corrects_the_verdict(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site)
    await page.keyboard.press("2")
    await expect(page.get_by_text("Saved: Voicemail.")).to_be_visible()
    await expect(page.get_by_role("button", name="Voicemail")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("region", name="Reviews")).to_contain_text("heard voicemail")
    await expect(page.get_by_role("region", name="Verdict")).to_contain_text("human")


async def test_the_recording_goes_on_playing_when_the_page_updates(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site)
    await page.keyboard.press(" ")
    await page.keyboard.press("1")
    await expect(page.get_by_text("Saved: Human.")).to_be_visible()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    before = await current_time(page)
    await page.wait_for_timeout(300)
    assert await current_time(page) > before


async def test_another_browser_sees_an_answer(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site)
    other = await visits.open(page.url)
    await page.keyboard.press("3")
    await expect(other.get_by_role("region", name="Reviews")).to_contain_text("heard screening")


async def test_a_refused_request_says_why(visits: Visits, site: Site) -> None:
    page = await open_judged(visits, site, allowed=["409", "net::ERR_FAILED", "Failed to fetch"])
    problem = '<p class="note error" role="alert">There is nothing to correct</p>'
    await page.route("**/answers", lambda route: route.fulfill(status=409, body=problem, content_type="text/html"))
    await page.keyboard.press("1")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("There is nothing to correct")
    await page.route("**/answers", lambda route: route.abort())
    await page.keyboard.press("1")
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("cannot be reached")
    await page.unroute_all()
    await page.keyboard.press("1")
    # Not the message: a change of the call that comes just after the answer replaces it.
    await expect(page.get_by_role("button", name="1 Human")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)


async def test_the_player_asks_a_busy_service_again_and_says_what_is_gone(visits: Visits, site: Site) -> None:
    call_sid = await site.post_call(HUMAN)
    await site.analysed(call_sid)
    page = await visits.open("/calls", allowed=["429", "410"])
    busy = {"status": 429, "headers": {"retry-after": "1"}, "body": "{}"}
    await page.route("**/audio/**", lambda route: route.fulfill(**busy), times=2)
    await page.goto(f"/calls/{call_sid}")
    await expect(page.get_by_role("button", name="Play")).to_be_enabled()
    gone = {"status": 410, "json": {"detail": "the recording is gone: Twilio deleted it"}}
    await page.route("**/audio/**", lambda route: route.fulfill(**gone))
    await page.reload()
    await expect(page.get_by_role("alert")).to_have_text("The recording is gone: Twilio deleted it")
    await expect(page.get_by_role("button", name="Play")).to_be_hidden()


async def test_a_viewer_sees_no_number_and_cannot_analyse(guarded_visits: Visits, guarded_site: Site) -> None:
    page = await open_judged(guarded_visits, guarded_site, role=Role.VIEWER)
    for details in await page.locator("details").all():
        await details.locator("summary").click()
    assert "+15005550006" not in await page.content()
    await expect(page.get_by_role("button", name="Analyse again")).to_have_count(0)
