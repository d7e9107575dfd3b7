"""Headers of all responses: strict policy, nothing is kept in a cache, no request to another host."""

import re
from typing import Any

import pytest
from starlette.routing import Route

from amd_service.database.pool import Database
from amd_service.web.app import SERVICE_ROUTES
from tests.support.app import open_app
from tests.support.sids import CALL, RECORDING

pytestmark = pytest.mark.anyio

KEYLESS: dict[str, Any] = {"api_keys": [], "public_url": None}


async def test_no_response_may_be_kept_or_loaded_by_another_site(database: Database) -> None:
    service = open_app(database, **KEYLESS)
    seen = set()
    for route in SERVICE_ROUTES:
        if not isinstance(route, Route) or "GET" not in (route.methods or ()) or route.path.endswith("/events"):
            continue
        path = route.path.replace("{sid}", CALL).replace("{recording_sid}", RECORDING).replace("{name}", "x")
        response = await service.client.get(path, headers={"accept": "text/html"})
        assert response.status_code < 500 or response.status_code == 503, path
        assert response.headers["x-content-type-options"] == "nosniff", path
        assert response.headers["cross-origin-resource-policy"] == "same-origin", path
        assert response.headers["cache-control"] == "no-store", path
        if response.headers.get("content-type", "").startswith("text/html"):
            seen.add(path)
            assert_strict(response.headers["content-security-policy"], path)
    assert {"/calls", "/sign-in"} <= seen
    for path in ("/missing", "/static/missing.js"):
        assert_strict(
            (await service.client.get(path, headers={"accept": "text/html"})).headers["content-security-policy"], path
        )
    await service.client.aclose()


def assert_strict(policy: str, path: str) -> None:
    """Nothing is loaded from other hosts, and no script inside the HTML runs."""
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'", path
    assert rules["script-src"] == "'self'", path
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'", path
    assert "unsafe" not in policy, path
    assert re.findall(r"https?:|\*|data:(?! ?;)", re.sub(r"img-src 'self' data:", "", policy)) == [], path


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/vendor/../../rendering.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\rendering.py",
        "/static/",
        "/static/vendor",
        "/static/\x00",
    ],
)
async def test_only_files_below_the_static_folder_are_served(path: str, database: Database) -> None:
    service = open_app(database, **KEYLESS)
    response = await service.client.get(path.replace("\x00", "%00"))
    assert response.status_code in (401, 403, 404)
    assert "import" not in response.text
    await service.client.aclose()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_static_files_are_only_read(method: str, database: Database) -> None:
    service = open_app(database, **KEYLESS)
    assert (await service.client.request(method, "/static/style.css")).status_code == 405
    await service.client.aclose()
