"""The report of `amd-service evaluate`, opened as a file in Chromium."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.evaluation.measurement import Question
from amd_service.lab.evaluation.result_files import REPORT, write_results
from amd_service.lab.evaluation.run_evaluation import evaluate_files
from amd_service.settings import Settings
from tests.support.audio_player import until_played
from tests.support.labelled_calls import lay_out_calls

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

DEMO = Settings.model_validate({"model": "demo", "engine": "torch", "precision": "fp32", "threads": 1})
# The first voicemail is labelled human, so the report has an error with a player.
CALLS = {"01-human-hello": "human", "12-voicemail-german": "human", "07-voicemail-carrier": "voicemail"}


async def write_report(folder: Path) -> Path:
    files = read_folder(lay_out_calls(folder / "calls", CALLS)).files
    evaluation = await evaluate_files(files, Question(), DEMO, data="calls")
    write_results(folder, evaluation, max_audio_bytes=8_000_000)
    return folder / REPORT


def watch(page: Page, report: str) -> list[str]:
    """Return a list that collects console messages, exceptions and requests for anything but the report itself."""
    faults: list[str] = []

    def check_request(url: str) -> None:
        if url != report and not url.startswith("data:"):
            faults.append(f"request: {url}")

    page.on("console", lambda message: faults.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    page.on("request", lambda request: check_request(request.url))
    return faults


async def test_the_report_opens_without_a_fault_and_plays_the_worst_error(browser: Browser, tmp_path: Path) -> None:
    report = (await write_report(tmp_path)).as_uri()
    async with await browser.new_page() as page:
        faults = watch(page, report)
        await page.goto(report)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Evaluation of demo")
        await expect(page.locator("svg").first).to_be_visible()
        error = page.locator("ol.errors li").first
        await expect(error).to_contain_text("12-voicemail-german.wav")
        await error.locator("audio").focus()
        await page.keyboard.press("Space")
        await until_played(error)
    assert faults == []
