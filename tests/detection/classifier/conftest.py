"""Model folders shared by the tests of this folder."""

import shutil
from pathlib import Path

import pytest

from tests.support.models import build_model


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model folder; not to be changed."""
    return build_model(tmp_path_factory.mktemp("models") / "good")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A good model folder of the test's own, to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path / "model"))
