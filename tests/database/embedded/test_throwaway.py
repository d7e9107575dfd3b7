"""Throwaway servers are deleted by their last process, or by the next process if that process was killed."""

import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres, sharing
from amd_service.database.embedded.account import server_account
from tests.support.embedded import IS_ROOT, Process, execute, exists, mode, owner

pytestmark = pytest.mark.anyio


def make_abandoned(directory: Path) -> None:
    """Create a throwaway directory as killed processes leave it. Only its owner can access the directory."""
    directory.mkdir(mode=0o700)
    (directory / "users.lock").touch()


async def test_a_throwaway_directory_is_deleted_at_the_end() -> None:
    async with embedded_postgres(None) as url:
        data = Path(await execute(url, "show data_directory"))
        assert await execute(url, "show fsync") == "off"
        assert exists(data)
    assert not exists(data.parent)


async def test_the_next_process_deletes_a_throwaway_server_whose_user_was_killed() -> None:
    process = Process(None)
    data = Path(await execute(process.url, "show data_directory"))
    process.kill()
    async with embedded_postgres(None):
        assert not exists(data.parent)


def test_the_target_of_a_link_is_not_deleted(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fresh.parent))
    make_abandoned(fresh)
    make_abandoned(fresh.parent / "amd-postgres-left")
    (fresh.parent / "amd-postgres-link").symlink_to(fresh)
    sharing.remove_abandoned(server_account())
    assert not exists(fresh.parent / "amd-postgres-left")
    assert exists(fresh / "users.lock")


def test_a_directory_that_another_process_deletes_is_skipped(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fresh.parent))
    left, open_file = fresh.parent / "amd-postgres-left", sharing.open_lock_file
    make_abandoned(left)

    def open_after_deletion(path: Path) -> int:
        shutil.rmtree(left)
        return open_file(path)

    monkeypatch.setattr(sharing, "open_lock_file", open_after_deletion)
    sharing.remove_abandoned(server_account())
    assert not exists(left)


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another account")
async def test_an_ordinary_account_runs_its_own_server_and_leaves_other_accounts_alone(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.parent.chmod(0o1777)
    make_abandoned(fresh.parent / "amd-postgres-of-another")
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
