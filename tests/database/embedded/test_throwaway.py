"""A server whose data nobody wants to keep: gone at the end, swept where it could not go."""

import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres, sharing
from amd_service.database.embedded.account import server_account
from tests.support.embedded import IS_ROOT, Process, execute, exists, mode, owner

pytestmark = pytest.mark.anyio


def leave_throwaway(directory: Path) -> None:
    """A throwaway directory that only its owner may enter, as one whose users were killed leaves it."""
    directory.mkdir(mode=0o700)
    (directory / "users.lock").touch()


async def test_a_throwaway_directory_is_gone_at_the_end() -> None:
    async with embedded_postgres(None) as url:
        data = Path(await execute(url, "show data_directory"))
        assert await execute(url, "show fsync") == "off"
        assert exists(data)
    assert not exists(data.parent)


async def test_a_throwaway_server_whose_user_was_killed_is_swept_by_the_next() -> None:
    process = Process(None)
    data = Path(await execute(process.url, "show data_directory"))
    process.kill()
    async with embedded_postgres(None):
        assert not exists(data.parent)


def test_what_a_link_leads_to_is_not_swept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fresh.parent))
    leave_throwaway(fresh)
    leave_throwaway(fresh.parent / "amd-postgres-left")
    (fresh.parent / "amd-postgres-link").symlink_to(fresh)
    sharing._sweep(server_account())
    assert not exists(fresh.parent / "amd-postgres-left")
    assert exists(fresh / "users.lock")


def test_what_another_process_is_sweeping_is_left_to_it(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fresh.parent))
    left, open_file = fresh.parent / "amd-postgres-left", sharing._open
    leave_throwaway(left)

    def open_too_late(path: Path) -> int:
        shutil.rmtree(left)
        return open_file(path)

    monkeypatch.setattr(sharing, "_open", open_too_late)
    sharing._sweep(server_account())
    assert not exists(left)


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
