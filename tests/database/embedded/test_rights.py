"""The account that runs the server, and access to its files."""

import os
from pathlib import Path

import pytest

from amd_service.database.embedded import embedded_postgres
from amd_service.database.embedded.account import server_account
from amd_service.errors import ConfigurationError
from tests.support.embedded import IS_ROOT, execute, exists, mode, owner, postmaster

pytestmark = pytest.mark.anyio


def modes(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in directory.parents}


async def test_no_parent_directory_is_changed_and_others_can_read_nothing(fresh: Path) -> None:
    before = modes(fresh)
    async with embedded_postgres(fresh) as url:
        assert await execute(url, "show unix_socket_permissions") == "0700"
        for private in ("postgres", "socket"):
            assert mode(fresh / private) == 0o700
            assert owner(fresh / private) == server_account().uid
    assert modes(fresh) == before


async def test_a_long_or_unusual_path_gets_its_socket_in_tmp(fresh: Path) -> None:
    odd = fresh.parent / ("long, " + "x" * 100)
    async with embedded_postgres(odd) as url:
        socket_directory = Path(await execute(url, "show unix_socket_directories"))
        assert mode(socket_directory) == 0o700
        assert len(str(socket_directory)) < 88
    assert not exists(socket_directory)


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
async def test_root_runs_the_server_as_an_account_without_rights(directory: Path) -> None:
    async with embedded_postgres(directory):
        assert owner(Path(f"/proc/{postmaster(directory)}")) not in (0, os.geteuid())


@pytest.mark.skipif(not IS_ROOT, reason="only root runs the server as another account")
async def test_the_error_names_an_inaccessible_directory_which_is_not_changed(fresh: Path) -> None:
    fresh.parent.chmod(0o700)
    with pytest.raises(ConfigurationError, match="AMD_DATA_DIR"):
        async with embedded_postgres(fresh):
            pass
    assert mode(fresh.parent) == 0o700
