"""A person records with the microphone, on /try."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile
from playwright.async_api import Browser, async_playwright, expect

from tests.support import chromium
from tests.support.accessibility import assert_accessible
from tests.support.fixture_calls import HUMAN
from tests.support.site import Site
from tests.support.try_page import finished
from tests.support.visits import TIMEOUT_MS, Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

REFUSE_MICROPHONE = """(name) => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("refused", name));
}"""


@pytest.fixture(autouse=True)
async def _classifier(site: Site) -> None:
    await site.service.wait_until_ready()


@pytest.mark.parametrize(
    ("error", "cure"),
    [("NotAllowedError", "Allow it beside the address"), ("NotFoundError", "No microphone was found")],
)
async def test_a_microphone_that_cannot_be_used_is_explained(error: str, cure: str, visits: Visits) -> None:
    page = await visits.open("/try")
    await page.evaluate(REFUSE_MICROPHONE, error)
    await page.get_by_role("button", name="Record", exact=True).click()
    await expect(page.locator("#problem")).to_contain_text(cure)
    await expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()


async def test_without_https_the_page_says_why_it_cannot_record(visits: Visits) -> None:
    page = await visits.open("/try")
    await page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    await page.reload()
    await expect(page.get_by_text("Browsers allow recording only with https or on localhost.")).to_be_visible()
    await expect(page.get_by_role("button", name="Record", exact=True)).to_be_disabled()
    await assert_accessible(page)


@pytest.fixture
async def speaking_browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """A Chromium whose microphone hears a person again and again."""
    file = tmp_path / "microphone.wav"
    (tmp_path / "call.wav").write_bytes(HUMAN)
    samples, rate_hz = soundfile.read(tmp_path / "call.wav")
    soundfile.write(file, samples, rate_hz, subtype="PCM_16")
    arguments = [*chromium.arguments(), f"--use-file-for-fake-audio-capture={file}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.program(), args=arguments, timeout=TIMEOUT_MS
        )
        yield browser
        await browser.close()


async def test_a_recording_of_the_microphone_is_judged(speaking_browser: Browser, site: Site) -> None:
    visits = Visits(speaking_browser, site)
    page = await visits.open("/try")
    await page.get_by_role("button", name="Record", exact=True).click()
    await expect(page.get_by_label("Level")).to_be_visible()
    await page.get_by_role("button", name="Stop (16 s left)").click()
    await finished(page, "human")
    await expect(page.get_by_role("heading", name="Your recording")).to_be_visible()
    await expect(page.get_by_text("Speech begins at")).to_be_visible()
    await visits.close()
    assert visits.faults == []
