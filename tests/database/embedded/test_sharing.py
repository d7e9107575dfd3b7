"""One server for all who use it, which goes with the last of them."""

from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres
from tests.support.embedded import Process, execute, is_running, postmaster

pytestmark = pytest.mark.anyio


async def test_processes_share_one_server_and_the_last_one_out_stops_it(directory: Path) -> None:
    first = Process(directory)
    pid = postmaster(directory)
    second = Process(directory)
    assert (first.url, postmaster(directory)) == (second.url, pid)
    first.leave()
    assert await execute(second.url, "select 1") == 1
    second.leave()
    assert not is_running(directory)


async def test_a_killed_first_user_does_not_take_the_server_with_it_nor_orphan_it(directory: Path) -> None:
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
