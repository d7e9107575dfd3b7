"""The documentation site holds every page, and its links stay on the site."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tools.site import ROOT, gather

LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("build") / "docs"
    gather(site)
    return site


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    links = [
        (page, (page.parent / unquote(link)).resolve())
        for page in site.glob("**/*.md")
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 20
    assert [
        (page.name, str(target)) for page, target in links if not (target.is_file() and target.is_relative_to(site))
    ] == []


def test_the_readme_is_the_first_page_and_links_to_the_others(site: Path) -> None:
    assert "](architecture.md)" in (site / "index.md").read_text(encoding="utf-8")
    assert "](index.md#http-interface)" in (site / "versioning.md").read_text(encoding="utf-8")


def test_every_decision_is_listed(site: Path) -> None:
    index = (site / "decisions" / "index.md").read_text(encoding="utf-8")
    for record in (ROOT / "docs" / "decisions").glob("*.md"):
        assert f"({record.name})" in index


def test_the_navigation_names_every_page_but_the_decisions(site: Path) -> None:
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    named = set(re.findall(r'"([\w/]+\.md)"', navigation))
    pages = {str(page.relative_to(site)) for page in site.glob("**/*.md")}
    assert named == {page for page in pages if not re.match(r"decisions/\d", page)}
