"""Steps on the page /try."""

from playwright.async_api import FilePayload, Locator, Page, expect


def verdict(page: Page) -> Locator:
    return page.locator("#verdict")


async def choose(page: Page, body: bytes, name: str = "call.wav", kind: str = "audio/wav") -> None:
    await page.get_by_label("Choose an audio file").set_input_files(FilePayload(name=name, mimeType=kind, buffer=body))


async def finished(page: Page, label: str) -> None:
    """Wait for the final verdict."""
    await expect(page.locator("#facts")).to_contain_text("Decided in")
    await expect(verdict(page).locator(".label")).to_have_text(label)
