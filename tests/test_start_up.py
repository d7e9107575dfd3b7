"""Warnings at the start of a process."""

import pytest

from amd_service.runtime import open_runtime
from amd_service.settings import Settings

pytestmark = pytest.mark.anyio


async def said_at_start(capfd: pytest.CaptureFixture[str], database_url: str, **settings: object) -> str:
    given = Settings(_env_file=None, database_url=database_url, model="/nowhere", **settings)  # type: ignore[arg-type]
    async with open_runtime(given, with_worker=False):
        return "".join(capfd.readouterr())


async def test_a_service_without_credentials_warns_at_the_start(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "every callback will be refused" in await said_at_start(capfd, database_url)
