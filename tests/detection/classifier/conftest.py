"""Model folders shared by the tests of this folder."""

import shutil
from pathlib import Path

import pytest

from tests.support.models import build_model


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model folder. Do not change it."""
    return build_model(tmp_path_factory.mktemp("models") / "good")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, for the test to damage."""
    return Path(shutil.copytree(pristine, tmp_path / "model"))
