"""Scripts, styles and templates: all are used, small, local, and allowed by the Content-Security-Policy."""

import re
from pathlib import Path

import pytest

from amd_service.web.pages.rendering import STATIC_FOLDER
from tests.support.app import App

TEMPLATES = STATIC_FOLDER.parent / "templates"
IMPORT = re.compile(r"""(?:from|import|URL)\s*\(?\s*"(\.[^"]+)\"""")
STATIC = re.compile(r"static\('([^']+)'\)")
# A script inside the HTML, a handler or a style as an attribute, and htmx's attributes whose value is a script.
FORBIDDEN = re.compile(
    r"<script(?![^>]*\ssrc=)[^>]*>|<style|\son[a-z]+=|\sstyle=|hx-on|\bjs:|javascript:", re.IGNORECASE
)
ELSEWHERE = re.compile(r"(?:src|href|action|hx-\w+)=\"(?:https?:)?//", re.IGNORECASE)

KILOBYTE = 1000


def _own_scripts() -> list[Path]:
    return sorted(STATIC_FOLDER.glob("*.js"))


def _templates() -> list[Path]:
    return sorted(TEMPLATES.glob("**/*.html"))


def _used() -> set[Path]:
    """The files that templates name, and those that these import."""
    names = {name for template in _templates() for name in STATIC.findall(template.read_text("utf-8"))}
    found = {STATIC_FOLDER / name for name in names}
    pending = [path for path in found if path.suffix == ".js"]
    while pending:
        path = pending.pop()
        imported = {(path.parent / name).resolve() for name in IMPORT.findall(path.read_text("utf-8"))}
        pending += imported - found
        found |= imported
    return found


def test_every_script_and_style_is_used_by_a_page() -> None:
    files = {path for path in STATIC_FOLDER.glob("**/*") if path.is_file() and path.suffix in (".js", ".css", ".svg")}
    assert _used() == files


def test_scripts_and_styles_are_small() -> None:
    own = sum(path.stat().st_size for path in (*_own_scripts(), STATIC_FOLDER / "style.css"))
    everything = sum(path.stat().st_size for path in _used())
    assert own < 100 * KILOBYTE
    assert everything < 400 * KILOBYTE


@pytest.mark.parametrize("template", _templates(), ids=lambda path: path.name)
def test_templates_contain_no_scripts_and_load_nothing_from_other_hosts(template: Path) -> None:
    text = template.read_text("utf-8")
    assert FORBIDDEN.findall(text) == []
    assert ELSEWHERE.findall(text) == []


def test_own_scripts_evaluate_no_text_and_request_no_other_hosts() -> None:
    for script in _own_scripts():
        text = script.read_text("utf-8")
        assert re.findall(r"\beval\(|new Function|innerHTML|document\.write|https?://(?!www\.w3\.org)", text) == [], (
            script
        )


@pytest.mark.anyio
async def test_browsers_revalidate_files_and_keep_unchanged_ones(service: App) -> None:
    first = await service.client.get("/static/style.css")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = await service.client.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
