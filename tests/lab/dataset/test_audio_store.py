from pathlib import Path

import pytest

from amd_service.domain import Waveform
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_store import open_store
from tests.support.labelled_audio import noise


def test_a_folder_is_open_for_one_build_at_a_time(tmp_path: Path) -> None:
    with open_store(tmp_path / "data"), pytest.raises(DatasetUnusable, match="another build uses"):
        open_store(tmp_path / "data").__enter__()
    with open_store(tmp_path / "data") as store:
        store.add("CA1", Waveform(noise(1), 8000), is_mixed=False)
    with open_store(tmp_path / "data") as store:
        assert store.find("CA1")


def test_a_folder_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetUnusable, match="file/data cannot be used: Not a directory"):
        open_store(tmp_path / "file" / "data").__enter__()


def test_a_stored_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        stored = store.add("CA1", Waveform(noise(1), 8000), is_mixed=True)
        stored.path.unlink()
        stored.path.mkdir()
        with pytest.raises(DatasetUnusable, match=r"CA1-mixed\.wav cannot be used: Is a directory"):
            stored.audio_input()
