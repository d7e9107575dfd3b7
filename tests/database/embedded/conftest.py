"""Data directories for the embedded Postgres."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded import Process, _server


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data directory with a database. It is created once per session, because that takes seconds on slow disks."""
    parent = Path(tempfile.mkdtemp(prefix="amd-test-"))
    parent.chmod(0o711)
    Process(parent / "data").leave()
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A data directory that does not exist yet. The server's account can access its parent directory."""
    parent = Path(tempfile.mkdtemp(prefix="amd-test-"))
    parent.chmod(0o711)
    yield parent / "data"
    _server(parent / "data").stop()
    shutil.rmtree(parent)


@pytest.fixture
def directory(fresh: Path, made: Path) -> Path:
    """A data directory with a database, for one test."""
    subprocess.run(["cp", "-a", str(made), str(fresh)], check=True)
    return fresh
