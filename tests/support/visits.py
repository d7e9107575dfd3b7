"""Pages of the service in Chromium, with a watch on what must never happen on a page."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError

from amd_service.domain import Role
from tests.support.site import PASSWORD, Site

Theme = Literal["light", "dark"]

DESKTOP, PHONE = 1280, 390
HEIGHTS = {DESKTOP: 800, PHONE: 844}
LOOKS: Sequence[tuple[int, Theme]] = ((DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark"))
# Chromium on a busy machine needs seconds for what takes milliseconds otherwise.
TIMEOUT_MS = 60_000.0


class Visits:
    """Opens pages of a site, each in a new browser context, as if each were opened by another person.

    `faults` collects console errors (violations of the Content-Security-Policy are such errors), exceptions, failed
    requests, error responses, and requests to other hosts.
    """

    def __init__(self, browser: Browser, site: Site) -> None:
        self.faults: list[str] = []
        self._browser = browser
        self._site = site
        self._contexts: list[BrowserContext] = []

    async def open(
        self,
        path: str,
        *,
        role: Role | None = None,
        width: int = DESKTOP,
        theme: Theme = "light",
        allowed: Sequence[str] = (),
        **options: Any,
    ) -> Page:
        """Open a page. `role`: sign in as the person with this role; None does not sign in.

        `allowed`: texts of expected faults, for example `status of 403`. `options`: more options of the context.
        """
        context = await self._browser.new_context(
            base_url=self._site.url,
            viewport={"width": width, "height": HEIGHTS[width]},
            color_scheme=theme,
            reduced_motion="reduce",
            **{"locale": "en-GB", "timezone_id": "UTC", **options},
        )
        context.set_default_timeout(TIMEOUT_MS)
        self._contexts.append(context)
        self._watch(context, allowed)
        page = await context.new_page()
        if role is not None:
            await sign_in(page, role.value)
        await page.goto(path)
        return page

    async def close(self) -> None:
        """Close the contexts."""
        for context in self._contexts:
            await context.close()

    def _watch(self, context: BrowserContext, allowed: Sequence[str]) -> None:
        own_host = urlsplit(self._site.url).netloc

        def add(fault: str) -> None:
            if not any(each in fault for each in allowed):
                self.faults.append(fault)

        def is_revoked(url: str, failure: str) -> bool:
            # The player revokes the audio of a recording when the next one is shown, also if Chromium still reads it.
            return url.startswith("blob:") and failure.endswith("net::ERR_FILE_NOT_FOUND")

        def check_console(message: ConsoleMessage) -> None:
            if message.type == "error" and not is_revoked(message.location["url"], message.text):
                add(f"console: {message.text}")

        def check_exception(error: WebError) -> None:
            add(f"exception: {error.error}")

        def check_request(request: Request) -> None:
            url = urlsplit(request.url)
            if url.scheme not in ("blob", "data") and url.netloc != own_host:
                add(f"request to another host: {request.url}")

        def check_failure(request: Request) -> None:
            # Chromium aborts the requests of a page that it leaves, and the rest of a media file that it does not need.
            failure = request.failure or ""
            if failure != "net::ERR_ABORTED" and not is_revoked(request.url, failure):
                add(f"failed request: {request.url}: {request.failure}")

        def check_response(response: Response) -> None:
            if response.status >= 400:
                add(f"status of {response.status}: {response.url}")

        context.on("console", check_console)
        context.on("weberror", check_exception)
        context.on("request", check_request)
        context.on("requestfailed", check_failure)
        context.on("response", check_response)


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Sign in with the form."""
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    async with page.expect_navigation():
        await page.get_by_role("button", name="Sign in").click()
