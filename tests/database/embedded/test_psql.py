"""The printed psql command opens the embedded Postgres."""

import shlex
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from amd_service.cli.doctor.database import check_database
from amd_service.database.embedded import embedded_postgres, psql_command
from amd_service.database.opening import open_database
from amd_service.settings import Settings

pytestmark = pytest.mark.anyio


def ask(command: str) -> str:
    arguments = [*shlex.split(command), "-Atc", "select count(*) from call_log"]
    return subprocess.run(arguments, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


async def test_the_start_and_the_doctor_print_a_command_that_works(directory: Path) -> None:
    settings = Settings(_env_file=None, data_dir=directory)
    with capture_logs() as logs:
        async with open_database(settings):
            (running,) = [entry for entry in logs if entry["event"] == "embedded Postgres running"]
            printed = running["psql"]
            assert running["data_dir"] == str(directory)
            assert ask(printed) == "0"
            (result,) = [result async for result in check_database(settings)]
    assert printed in result.text
    assert psql_command(directory) == printed


@pytest.mark.slow
async def test_the_first_start_logs_where_it_creates_the_database_before_it_does(fresh: Path) -> None:
    for expected in (["creating the database"], []):
        with capture_logs() as logs:
            async with embedded_postgres(fresh):
                pass
        assert [entry["event"] for entry in logs] == expected


@pytest.fixture
def deep(directory: Path) -> Path:
    """A data directory whose path is too long for a socket."""
    return directory.rename(directory.with_name("d" * 90))


async def test_the_command_names_the_socket_of_a_data_directory_with_a_long_path(deep: Path) -> None:
    assert psql_command(deep) is None
    (result,) = [result async for result in check_database(Settings(_env_file=None, data_dir=deep))]
    assert "log of `serve`" in result.text
    async with embedded_postgres(deep) as url:
        command = psql_command(deep)
        assert command is not None
        (socket_dir,) = [part for part in shlex.split(command) if part.startswith("/tmp/amd-socket-")]
        assert socket_dir in url
