"""Checks of a page with axe-core."""

from playwright.async_api import Page

from tests.support.chromium import AXE

# The rules of WCAG 2.2 levels A and AA, and axe-core's own recommendations.
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

_RUN = """async (tags) => {
  const { violations } = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\\n${html}\\n${failureSummary}`));
}"""


async def assert_accessible(page: Page) -> None:
    """Fail with every violation that axe-core finds on the page as it is now."""
    # DevTools evaluates the script, so the page's Content-Security-Policy stays in force.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    violations: list[str] = await page.evaluate(_RUN, list(TAGS))
    assert violations == [], "\n\n".join(violations)
