"""Checks of a page with axe-core, in both themes, on a desktop and on a phone."""

import pytest
from playwright.async_api import Page

from tests.support.chromium import AXE
from tests.support.visits import HEIGHTS, LOOKS
from tests.support.waiting import until

# The rules of WCAG 2.2 levels A and AA, and axe-core's own recommendations.
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

# Without `preload: false`, axe-core copies the styles in the shadow DOM of the player into <style> elements, which the
# policy of the pages forbids. Two rules need the copies: a locked orientation, and audio that plays by itself.
_RUN = """async (tags) => {
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"], preload: false });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\\n${html}\\n${failureSummary}`));
}"""
_WIDTHS = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


async def assert_accessible(page: Page) -> None:
    """Fail with every violation that axe-core finds on the page as it is now."""
    if not await page.evaluate("() => 'axe' in window"):
        # DevTools evaluates the script, so the page's Content-Security-Policy stays in force.
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    violations: list[str] = await page.evaluate(_RUN, list(TAGS))
    assert violations == [], "\n\n".join(violations)


async def assert_accessible_everywhere(page: Page) -> None:
    """Check the page in both themes and widths. No page is wider than its window; wide tables scroll within it."""
    for width, theme in LOOKS:
        await page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        await page.emulate_media(color_scheme=theme)
        await _assert_fits(page, f"{theme} page, {width} pixels wide")
        await assert_accessible(page)


async def _assert_fits(page: Page, look: str) -> None:
    """Fail unless the page becomes as narrow as its window. Charts get their new width just after the page."""

    async def fits() -> bool:
        scroll_width, client_width = await page.evaluate(_WIDTHS)
        return bool(scroll_width <= client_width)

    try:
        await until(fits, timeout_s=10)
    except TimeoutError:
        pytest.fail(f"{look}: wider than its window")
