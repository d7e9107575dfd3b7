"""The check of the embedded Postgres finds the same errors as a start."""

import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.database.embedded import check_embedded, embedded_postgres
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from tests.support.embedded import IS_ROOT

pytestmark = pytest.mark.anyio

# Checks a directory and prints the error. Arguments: directory and, to run the check as another account, uid and gid.
CHECK = """
import os, sys
from pathlib import Path
from amd_service.database.embedded import check_embedded
from amd_service.errors import ConfigurationError

if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
try:
    check_embedded(Path(sys.argv[1]))
except ConfigurationError as error:
    print(error)
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory that the server's account can access."""
    parent = Path(tempfile.mkdtemp(prefix="amd-test-")).resolve()
    parent.chmod(0o711)
    yield parent
    shutil.rmtree(parent)


def make(directory: Path, mode: int) -> Path:
    directory.mkdir()
    directory.chmod(mode)
    return directory


def contents(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def database_finding(data_dir: Path) -> CheckResult:
    findings = run_checks(Settings(_env_file=None, data_dir=data_dir))
    return await anext(found async for found in findings if found.check == "database")


async def start_error(data_dir: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        async with embedded_postgres(data_dir):
            pass
    return str(caught.value)


async def test_a_usable_directory_passes_and_nothing_is_started(parent: Path) -> None:
    found = await database_finding(parent / "data")
    assert found.health is Health.OK
    assert str(check_embedded(parent / "data")) in found.text
    assert contents(parent / "data") == {"start.lock"}


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
@pytest.mark.parametrize("below", ["data", "closed too/data"])
async def test_the_error_names_the_parent_that_the_servers_account_cannot_access(parent: Path, below: str) -> None:
    closed = make(parent / "closed", 0o700)
    message = await start_error(closed / below)
    assert f"{closed} denies access" in message
    found = await database_finding(closed / below)
    assert (found.health, found.text) == (Health.FAIL, message)


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
async def test_the_error_names_an_inaccessible_data_directory(parent: Path) -> None:
    data = make(parent / "data", 0o700)
    assert f"{data} denies access" in (await database_finding(data)).text


def test_any_account_finds_a_directory_that_cannot_be_created(parent: Path) -> None:
    closed = make(parent / "closed", 0o555)
    nobody = pwd.getpwnam("nobody")
    drop = [str(nobody.pw_uid), str(nobody.pw_gid)] if IS_ROOT else []
    arguments = [sys.executable, "-c", CHECK, str(closed / "data"), *drop]
    message = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert f"AMD_DATA_DIR {closed / 'data'} cannot be used" in message
    assert "Permission denied" in message


async def test_data_of_a_missing_version_is_found(parent: Path) -> None:
    data = make(parent / "data", 0o711)
    make(data / "postgres", 0o711).joinpath("PG_VERSION").write_text("11\n")
    found = await database_finding(data)
    assert (found.health, found.text) == (Health.FAIL, await start_error(data))
    assert "needs PostgreSQL 11" in found.text


@pytest.mark.parametrize("below", ["", "data", "a/b"])
async def test_a_path_through_a_regular_file_is_not_a_directory(parent: Path, below: str) -> None:
    file = parent / "notes.txt"
    file.touch()
    message = await start_error(file / below)
    assert f"AMD_DATA_DIR {file / below} cannot be used: {file} is not a directory; " in message
    assert (await database_finding(file / below)).text == message
