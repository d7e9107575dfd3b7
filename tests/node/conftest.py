"""Compiles the files of docs/nextjs."""

import subprocess

import pytest

from tests.end_to_end.conftest import scene as scene
from tests.support.backend import Backend
from tests.support.node_toolchain import FOLDER, TSC


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """The files of docs/nextjs, type-checked in strict mode and compiled."""
    compiled = tmp_path_factory.mktemp("nextjs")
    run = subprocess.run(
        ("node", TSC, "--project", FOLDER, "--outDir", compiled), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
    return Backend(compiled)
