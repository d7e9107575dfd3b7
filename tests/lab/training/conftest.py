"""A very small network that was not trained."""

from pathlib import Path

import pytest
import torch

from tests.support.models import build_model


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return build_model(tmp_path_factory.mktemp("untrained"))
