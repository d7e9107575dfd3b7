"""The start page."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from amd_service import __version__
from amd_service.database.pool import Database
from tests.support.app import App, open_app

pytestmark = pytest.mark.anyio


class Links(HTMLParser):
    """Collects the links of a page, and everything that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href", "srcset", "style", "action") or tag in ("script", "iframe", "form"):
                self.loaded.append(f"{tag} {name}={value}")


async def test_a_person_sees_version_state_and_links_without_a_key(service: App) -> None:
    response = await service.client.get("/", headers={"authorization": ""})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(text in response.text for text in (__version__, "can be stored", "stopped", "docs"))
    links = Links(response.text)
    assert links.links == ["health", "ready", "openapi.json", "model-info"]
    for link in links.links:
        assert (await service.client.get(f"/{link}")).status_code == 200
    assert "prefers-color-scheme" in response.text or "color-scheme: light dark" in response.text


async def test_a_browser_loads_nothing_else_and_runs_no_script(service: App) -> None:
    response = await service.client.get("/")
    assert Links(response.text).loaded == []
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)
    assert "@import" not in style
    assert "url(" not in style


async def test_the_page_shows_why_callbacks_cannot_be_stored(closed_database: Database) -> None:
    response = await open_app(closed_database).client.get("/")
    assert (response.status_code, "the database is unavailable" in response.text) == (200, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "(needs an API key)"),
        (
            {"api_keys": [], "public_url": None},
            "(needs no API key, because none is configured: only this machine has access)",
        ),
        ({"api_keys": [], "host": "0.0.0.0"}, "(no access until AMD_API_KEYS is set)"),
    ],
)
async def test_the_page_shows_who_has_access_to_the_other_links(
    closed_database: Database, settings: dict[str, Any], words: str
) -> None:
    response = await open_app(closed_database, **settings).client.get("/")
    assert response.text.count(words) == 2


async def test_text_in_the_page_is_escaped(closed_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amd_service.web.start_page.__version__", "<script>1</script>")
    response = await open_app(closed_database).client.get("/")
    assert "<script>" not in response.text
    assert "&lt;script&gt;" in response.text
