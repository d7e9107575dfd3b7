"""An embedded Postgres that dies is started again, and the running service goes on with it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from amd_service.database.embedded import restart_if_dead
from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.database.supervision import RestartLimits, restarting
from amd_service.errors import DatabaseUnavailable
from amd_service.telemetry import Metrics
from tests.support.app import make_settings
from tests.support.embedded import is_running, postmaster
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["data", "long, " + "x" * 100])
def data_dir(fresh: Path, made: Path, request: pytest.FixtureRequest) -> Path:
    """A directory with the socket inside, and one whose socket is in /tmp because the path is too long."""
    directory = fresh.parent / str(request.param)
    subprocess.run(["cp", "-a", str(made), str(directory)], check=True)
    return directory


def restarts(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("amd_postgres_restarts_total") or 0.0


async def can_count_callbacks(database: Database) -> bool:
    try:
        async with database.transaction() as session:
            count: int | None = await session.scalar(text("select count(*) from callback"))
            return count == 0
    except DatabaseUnavailable:
        return False


async def test_a_killed_postgres_is_restarted_and_the_pool_uses_it(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = Metrics()
    async with open_database(make_settings(data_dir=data_dir), metrics) as database:
        assert await can_count_callbacks(database)
        killed = postmaster(data_dir)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: restarts(metrics) == 1)
        await until(lambda: can_count_callbacks(database))
        assert postmaster(data_dir) != killed
        captured = capfd.readouterr()
        assert "embedded Postgres died, restarted" in captured.out + captured.err
    assert not is_running(data_dir)


@pytest.mark.parametrize("deleted", ["postgres", "."])
async def test_missing_data_is_never_replaced_by_an_empty_database(
    directory: Path, deleted: str, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = Metrics()
    limits = RestartLimits(check_s=0.05, longest_s=0.1)
    async with open_database(make_settings(data_dir=directory), metrics), restarting(directory, metrics, limits):
        os.kill(postmaster(directory), signal.SIGKILL)
        shutil.rmtree(directory / deleted)
        logged = ""

        def is_logged() -> bool:
            nonlocal logged
            captured = capfd.readouterr()
            logged += captured.out + captured.err
            return logged.count("does not start, retrying") >= 2

        await until(is_logged)
        assert "restore it from a backup" in logged
    assert restarts(metrics) == 0


async def test_a_check_that_comes_after_the_last_process_has_left_starts_nothing(directory: Path) -> None:
    # A shutdown cancels the task of the checks, but not a check that waits for its thread.
    async with open_database(make_settings(data_dir=directory)):
        pass
    assert not restart_if_dead(directory)
    assert not is_running(directory)
