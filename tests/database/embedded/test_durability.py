"""Rows survive restarts and crashes of the server."""

import os
import signal
from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres
from tests.support.embedded import execute, is_running, postmaster

pytestmark = pytest.mark.anyio


async def test_rows_are_kept_between_runs_and_no_server_runs_between_them(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        await execute(url, "create table kept as select 42 as answer")
        assert is_running(directory)
    assert not is_running(directory)
    async with embedded_postgres(directory) as url:
        assert await execute(url, "select answer from kept") == 42


async def test_kept_data_is_durable(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        assert await execute(url, "show fsync") == "on"
        assert await execute(url, "show listen_addresses") == ""


async def test_a_server_starts_after_its_postmaster_was_killed_and_no_row_is_lost(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        await execute(url, "create table kept as select 42 as answer")
        os.kill(postmaster(directory), signal.SIGKILL)
        async with embedded_postgres(directory) as again:
            assert await execute(again, "select answer from kept") == 42


async def test_a_pid_file_that_names_another_programs_process_does_not_stop_the_start(directory: Path) -> None:
    async with embedded_postgres(directory):
        pass
    leftover = directory / "postgres" / "postmaster.pid"
    leftover.write_text(f"{os.getpid()}\n{directory}\n0\n5432\n/nowhere\n\n\nready\n")
    async with embedded_postgres(directory) as url:
        assert await execute(url, "select 1") == 1
