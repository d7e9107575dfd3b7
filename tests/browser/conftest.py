"""Chromium and the service as a process. Both start once for all tests of this folder.

Every file of this folder needs `pytestmark = [pytest.mark.anyio, pytest.mark.browser]`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.support import chromium
from tests.support.postgres import clone, drop, with_database
from tests.support.site import Site, add_people, run_site
from tests.support.visits import TIMEOUT_MS, Visits


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """One Chromium. Each visit has its own context, with its own cookies."""
    expect.set_options(timeout=TIMEOUT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.program(), args=chromium.arguments(), timeout=TIMEOUT_MS
        )
        yield browser
        await browser.close()


@contextmanager
def _own_database(server_url: str, test_run: str, name: str) -> Iterator[str]:
    """Clone a migrated database for a site, and drop it at the end."""
    template = f"amd_test_{test_run}_template"
    own = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{name}"
    asyncio.run(clone(server_url, template, own))
    yield with_database(server_url, own)
    asyncio.run(drop(server_url, template, own))


@pytest.fixture(scope="session")
def site_database_url(server_url: str, test_run: str) -> Iterator[str]:
    with _own_database(server_url, test_run, "site") as url:
        yield url


@pytest.fixture(scope="session")
def guarded_database_url(server_url: str, test_run: str) -> Iterator[str]:
    with _own_database(server_url, test_run, "guarded") as url:
        yield url


@pytest.fixture(scope="session")
async def site(site_database_url: str, anyio_backend: str) -> AsyncIterator[Site]:
    """The service without accounts and keys: everybody on this machine may do everything."""
    async with run_site(site_database_url, live=True, review_sample=1) as site:
        await site.service.wait_until_ready()
        yield site


@pytest.fixture(scope="session")
async def guarded_site(guarded_database_url: str, anyio_backend: str) -> AsyncIterator[Site]:
    """The service with one account for each role."""
    async with run_site(guarded_database_url, review_sample=1) as site:
        await add_people(site.database)
        yield site


@pytest.fixture
async def visits(browser: Browser, site: Site) -> AsyncIterator[Visits]:
    """Opens pages of `site`. The test fails at its end if a page reported a fault."""
    async with _watched(browser, site) as visits:
        yield visits


@pytest.fixture
async def guarded_visits(browser: Browser, guarded_site: Site) -> AsyncIterator[Visits]:
    """Opens pages of `guarded_site`. The test fails at its end if a page reported a fault."""
    async with _watched(browser, guarded_site) as visits:
        yield visits


@asynccontextmanager
async def _watched(browser: Browser, site: Site) -> AsyncIterator[Visits]:
    visits = Visits(browser, site)
    yield visits
    await visits.close()
    assert visits.faults == []
