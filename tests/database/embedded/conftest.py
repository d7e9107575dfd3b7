"""Data directories for the private Postgres, and other processes that use one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded import Process, _server


@pytest.fixture(scope="session")
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
