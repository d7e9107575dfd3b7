"""Several processes share one server, and the last process stops the server."""

from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres
from tests.support.embedded import Process, execute, is_running, postmaster

pytestmark = pytest.mark.anyio


async def test_processes_share_one_server_and_the_last_process_stops_it(directory: Path) -> None:
    first = Process(directory)
    pid = postmaster(directory)
    second = Process(directory)
    assert (first.url, postmaster(directory)) == (second.url, pid)
    first.leave()
    assert await execute(second.url, "select 1") == 1
    second.leave()
    assert not is_running(directory)


async def test_the_server_survives_a_killed_process_and_stops_after_the_last_process(directory: Path) -> None:
    first, second = Process(directory), Process(directory)
    first.kill()
    assert await execute(second.url, "select 1") == 1
    second.leave()
    assert not is_running(directory)


async def test_the_next_process_stops_a_server_whose_only_user_was_killed(directory: Path) -> None:
    Process(directory).kill()
    pid = postmaster(directory)
    async with embedded_postgres(directory):
        assert postmaster(directory) == pid
    assert not is_running(directory)
