"""Several processes share one server, and the last one stops it."""

from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres
from tests.support.embedded import Process, execute, is_running, postmaster

pytestmark = pytest.mark.anyio


async def test_processes_share_one_server_and_the_last_one_stops_it(directory: Path) -> None:
    first = Process(directory)
    pid = postmaster(directory)
    second = Process(directory)
    assert (first.url, postmaster(directory)) == (second.url, pid)
    first.leave()
    assert await execute(second.url, "select 1") == 1
    second.leave()
    assert not is_running(directory)


async def test_the_server_survives_its_first_user_and_is_not_orphaned(directory: Path) -> None:
    first, second = Process(directory), Process(directory)
    first.kill()
    assert await execute(second.url, "select 1") == 1
    second.leave()
    assert not is_running(directory)


async def test_a_server_whose_only_user_was_killed_is_adopted_and_stopped(directory: Path) -> None:
    Process(directory).kill()
    pid = postmaster(directory)
    async with embedded_postgres(directory):
        assert postmaster(directory) == pid
    assert not is_running(directory)
