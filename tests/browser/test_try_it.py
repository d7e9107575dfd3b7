"""A person without a Twilio account sees how the service decides, on /try."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, Route, expect
from sqlalchemy import func, select

from amd_service.calls.tables import Base
from amd_service.domain import Role
from tests.support.accessibility import assert_accessible
from tests.support.detectors import speech
from tests.support.fixture_calls import CALLS, HUMAN, VOICEMAIL
from tests.support.signals import file_of
from tests.support.site import Site
from tests.support.try_page import choose, finished, verdict
from tests.support.visits import LOOKS, Theme, Visits

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

# Records a tone as WebM with Opus, which browsers read and the service does not.
RECORD_WEBM = """async () => {
  const context = new AudioContext(), tone = context.createOscillator(), out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const recorder = new MediaRecorder(out.stream, { mimeType: "audio/webm;codecs=opus" }), parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop(); });
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
DROP = """([id, text]) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "dropped.wav", { type: "audio/wav" }));
  document.getElementById(id).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(autouse=True)
async def _classifier(site: Site) -> None:
    await site.service.wait_until_ready()


async def set_threshold(page: Page, label: str, value: str) -> None:
    await page.get_by_role("slider", name=label).fill(value)


@pytest.mark.parametrize(("width", "theme"), LOOKS)
async def test_a_sample_is_judged_and_drawn_on_an_accessible_page(width: int, theme: Theme, visits: Visits) -> None:
    page = await visits.open("/try", width=width, theme=theme)
    await assert_accessible(page)
    await page.get_by_role("button", name="A voicemail", exact=True).click()
    await finished(page, "voicemail")
    await expect(page.get_by_text("Speech begins at")).to_be_visible()
    await expect(page.locator("#scores")).to_contain_text("first window")
    await expect(page.locator("#facts")).to_contain_text("demonstration model")
    await expect(page.locator("#chart canvas")).to_be_visible()
    await expect(page.get_by_role("button", name="Play")).to_be_enabled()
    await assert_accessible(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_of_a_recording_is_stored(visits: Visits, site: Site) -> None:
    before = await _rows(site)
    page = await visits.open("/try")
    await choose(page, HUMAN)
    await finished(page, "human")
    assert await _rows(site) == before


async def test_a_slider_shows_what_other_thresholds_decide_and_their_settings(visits: Visits) -> None:
    page = await visits.open("/try")
    await choose(page, VOICEMAIL)
    await finished(page, "voicemail")
    decision = page.locator("#decision .label")
    await expect(decision).to_have_text("voicemail")
    await set_threshold(page, "Voicemail", "0.99")
    await expect(decision).to_have_text("undecided")
    await expect(page.locator("#decision")).to_contain_text("The longer window also scores")
    settings = page.locator("#settings")
    await expect(settings).to_have_text("AMD_MIN_CONFIDENCE_HUMAN=0.7\nAMD_MIN_CONFIDENCE_VOICEMAIL=0.99")
    await finished(page, "voicemail")
    await page.get_by_role("button", name="Configured thresholds").click()
    await expect(decision).to_have_text("voicemail")
    await expect(settings).to_contain_text("VOICEMAIL=0.7")


async def test_silence_has_no_speech_and_is_never_human(visits: Visits) -> None:
    page = await visits.open("/try")
    await page.get_by_role("button", name="Silence", exact=True).click()
    await finished(page, "undecided")
    await expect(verdict(page)).to_contain_text("found no speech")
    await expect(page.locator("#details")).to_be_hidden()


async def test_a_dropped_file_is_judged(visits: Visits) -> None:
    page = await visits.open("/try")
    await page.evaluate(DROP, ["drop", base64.b64encode(HUMAN).decode()])
    await finished(page, "human")
    await expect(page.get_by_role("heading", name="dropped.wav")).to_be_visible()


async def test_a_file_is_chosen_with_the_keyboard(visits: Visits) -> None:
    page = await visits.open("/try")
    async with page.expect_file_chooser() as opened:
        await page.get_by_label("Choose an audio file").press("Enter")
    await (await opened.value).set_files(FilePayload(name="a.wav", mimeType="audio/wav", buffer=HUMAN))
    await finished(page, "human")


async def test_the_called_partys_channel_is_chosen_for_two_channels(visits: Visits) -> None:
    page = await visits.open("/try")
    await choose(page, (CALLS / "14-dual-callee-on-channel-1" / "recording.wav").read_bytes())
    channel = page.get_by_label("Called party")
    await expect(page.locator("#facts")).to_contain_text("Decided in")
    async with page.expect_response(re.compile("channel=1")):
        await channel.select_option("channel 1")
    await finished(page, "human")
    await choose(page, HUMAN)
    await finished(page, "human")
    await expect(channel).to_be_hidden()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"%PDF-1.7 no audio at all" * 100, "The body is a file of the format PDF: send an audio file"),
        (b"", "The file is empty. Choose another file."),
    ],
)
async def test_a_file_that_cannot_be_judged_is_refused_with_the_cure(body: bytes, message: str, visits: Visits) -> None:
    page = await visits.open("/try", allowed=["status of 422"])
    await choose(page, body, "call.pdf", "application/pdf")
    await expect(page.locator("#problem")).to_contain_text(message)


async def test_a_file_that_is_too_large_is_refused_before_it_is_sent(visits: Visits, tmp_path: Path) -> None:
    page = await visits.open("/try")
    with (tmp_path / "hours.wav").open("wb") as file:
        file.truncate(101_000_000)
    await page.get_by_label("Choose an audio file").set_input_files(tmp_path / "hours.wav")
    await expect(page.locator("#problem")).to_contain_text("The file has 96.3 MB, and the service accepts 32.0 MB.")


async def test_a_recording_that_is_too_short_stays_undecided(visits: Visits) -> None:
    page = await visits.open("/try")
    await choose(page, file_of(speech(0.5)))
    await finished(page, "undecided")
    await expect(verdict(page)).to_contain_text("shorter than 1 s")


async def test_the_browser_converts_a_format_that_the_service_cannot_read(visits: Visits) -> None:
    page = await visits.open("/try", allowed=["status of 422"])
    webm = base64.b64decode(await page.evaluate(RECORD_WEBM))
    await choose(page, webm, "call.webm", "video/webm")
    await finished(page, "undecided")
    await expect(page.locator("#facts")).to_contain_text("Your browser converted the file to WAV.")


async def test_a_recording_waits_for_the_model_and_for_a_busy_service(visits: Visits) -> None:
    page = await visits.open("/try", allowed=["status of 503", "status of 429"])
    answers = [_problem(503, "not ready"), _problem(429, "the queue is full")]
    states = [{"json": {"ready": False, "phase": "loading", "reason": "loading the model"}}]

    async def answer(route: Route) -> None:
        pending = states if "/model-info" in route.request.url else answers
        if pending:
            await route.fulfill(**pending.pop(0))
        else:
            await route.continue_()

    await page.route(re.compile("/predict-stream|/model-info"), answer)
    await choose(page, HUMAN)
    await expect(verdict(page)).to_contain_text("The model is not ready yet: loading the model.")
    await finished(page, "human")
    assert (answers, states) == ([], [])


async def test_a_model_that_failed_is_reported_with_its_cure(visits: Visits) -> None:
    page = await visits.open("/try", allowed=["status of 503"])
    await page.route("**/predict-stream?*", lambda route: route.fulfill(**_problem(503, "not ready")))
    state = {"ready": False, "phase": "failed", "reason": "the labels are swapped: set AMD_LABELS"}
    await page.route("**/model-info", lambda route: route.fulfill(json=state))
    await choose(page, HUMAN)
    await expect(page.locator("#problem")).to_have_text("The labels are swapped: set AMD_LABELS.")


async def test_a_file_chosen_before_the_script_has_loaded_is_judged(visits: Visits) -> None:
    page = await visits.open("about:blank")
    script = asyncio.Event()

    async def send_late(route: Route) -> None:
        await script.wait()
        await route.continue_()

    await page.route("**/try_it.js*", send_late)
    await page.goto("/try", wait_until="commit")
    await expect(page.get_by_role("button", name="Silence", exact=True)).to_be_disabled()
    await choose(page, HUMAN)
    script.set()
    await finished(page, "human")


async def test_a_signed_in_reviewer_judges_a_recording(guarded_visits: Visits) -> None:
    # The page waits for the model, which may still be loading.
    page = await guarded_visits.open("/calls", role=Role.REVIEWER, allowed=["status of 503"])
    await page.get_by_role("link", name="Try it", exact=True).click()
    await page.wait_for_url("**/try")
    await choose(page, HUMAN)
    await finished(page, "human")


async def test_an_open_page_shows_new_notices_and_removes_old_ones(visits: Visits) -> None:
    page = await visits.open("/try")
    banner = page.get_by_role("region", name="State of the service")
    await expect(banner).to_contain_text("Demonstration model")
    outage = {"text": "Callbacks cannot be stored now.", "is_error": True, "is_temporary": True}
    await page.route("**/banner", lambda route: route.fulfill(json=[outage]))
    await expect(banner).to_have_text("Callbacks cannot be stored now.")
    await assert_accessible(page)
    await page.unroute("**/banner")
    await expect(banner).to_contain_text("Demonstration model")


def _problem(status: int, detail: str) -> dict[str, Any]:
    body = {"title": "A problem", "status": status, "detail": detail}
    return {"status": status, "content_type": "application/problem+json", "body": json.dumps(body)}


async def _rows(site: Site) -> dict[str, int | None]:
    async with site.database.transaction() as session:
        return {
            name: await session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }
