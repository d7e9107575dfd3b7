"""Live updates, counts and the chart of the list of calls in Chromium."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.support.accessibility import assert_accessible_everywhere
from tests.support.site import Site
from tests.support.visits import Visits
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

LIVE = "Live: calls appear as they change."
# Text of a time that times.js has not converted yet.
UNCONVERTED = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


async def open_live(visits: Visits, path: str = "/calls", **options: object) -> Page:
    page = await visits.open(path, **options)  # type: ignore[arg-type]
    await expect(page.locator("#live")).to_have_text(LIVE)
    return page


async def test_a_call_and_its_verdict_appear_without_a_reload_in_every_browser(site: Site, visits: Visits) -> None:
    first, second = await open_live(visits), await open_live(visits)
    call_sid = await site.post_call("01-human-hello")
    judged = asyncio.create_task(site.analysed(call_sid))
    for page in (first, second):
        row = page.locator(f"#{call_sid}")
        await expect(row.locator(".label.human")).to_be_visible()
        await expect(row.get_by_text(UNCONVERTED)).to_have_count(0)
    await judged
    # The reader keeps the focus while the table changes.
    await first.locator(f"#{call_sid} a").first.focus()
    other = await site.post_call("07-voicemail-carrier")
    await expect(first.locator(f"#{other} .label.voicemail")).to_be_visible()
    await expect(first.locator(f"#{call_sid} a").first).to_be_focused()


async def test_a_filter_also_filters_the_live_calls_and_the_counts(site: Site, visits: Visits) -> None:
    page = await open_live(visits)
    await page.get_by_role("checkbox", name="voicemail").check()
    await expect(page.locator("#live")).to_have_attribute("hx-sse:connect", "/calls/events?label=voicemail")
    await expect(page.locator("#live")).to_have_text(LIVE)
    human = await site.analysed(await site.post_call("01-human-hello"))
    voicemail = await site.post_call("07-voicemail-carrier")
    await expect(page.locator(f"#{voicemail}")).to_be_visible()
    await expect(page.locator(f"#{human.call_sid}")).to_have_count(0)
    await expect(page.locator("#tiles dl")).to_contain_text("Voicemail100.0 %")


async def test_a_page_says_that_it_has_no_connection_and_connects_again(site: Site, visits: Visits) -> None:
    page = await visits.open("about:blank", allowed=["ERR_CONNECTION_REFUSED", "failed request", "Failed to fetch"])
    await page.route("**/calls/events*", lambda route: route.abort("connectionrefused"))
    await page.goto("/calls")
    await expect(page.locator("#live")).to_contain_text("reconnecting")
    await page.unroute("**/calls/events*")
    await expect(page.locator("#live")).to_have_text(LIVE)


async def test_a_page_connects_although_a_script_arrives_late(visits: Visits) -> None:
    page = await visits.open("about:blank")

    async def send_late(route: Route) -> None:
        await page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")
        await route.continue_()

    await page.route("**/hx-sse.min.js*", send_late)
    await page.goto("/calls")
    await expect(page.locator("#live")).to_have_text(LIVE)


async def test_a_hidden_page_holds_no_connection(site: Site, visits: Visits) -> None:
    page = await open_live(visits)
    await page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    call_sid = await site.post_call("01-human-hello")
    await site.analysed(call_sid)
    await expect(page.locator(f"#{call_sid}")).to_have_count(0)
    await page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
    await expect(page.locator(f"#{call_sid}")).to_be_visible()


async def test_the_chart_follows_theme_and_width_and_has_a_table(site: Site, visits: Visits) -> None:
    await site.analysed(await site.post_call("01-human-hello"))
    page = await open_live(visits)
    canvas = page.locator(".chart canvas")
    await expect(canvas).to_be_visible()
    light = await canvas.evaluate("(canvas) => canvas.toDataURL()")

    async def is_drawn_again() -> bool:
        return bool(await canvas.evaluate("(canvas) => canvas.toDataURL()") != light)

    await page.emulate_media(color_scheme="dark")
    await until(is_drawn_again)
    await expect(canvas).to_have_count(1)
    await page.set_viewport_size({"width": 390, "height": 844})
    width = await page.locator(".chart").evaluate("(chart) => chart.clientWidth")
    assert width < 390
    await expect(page.locator(".chart .u-wrap")).to_have_css("width", f"{width}px")
    await page.get_by_text("Show as a table").click()
    await expect(page.get_by_role("columnheader", name="human", exact=True)).to_be_visible()
    await assert_accessible_everywhere(page)
