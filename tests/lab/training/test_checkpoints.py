"""The folder of a training before the network is loaded."""

import json
from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.lab.training.checkpoints import Run, prepare_checkpoints

RUN = Run(start="demo", labels="human,voicemail", lora_rank=None, seed=7, data="digest")


def write_checkpoint(out: Path, step: int, state: str) -> Path:
    folder = out / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "trainer_state.json").write_text(state)
    return folder


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("my project")
    with pytest.raises(ConfigurationError, match=r"contains files that no training made \(README\.md\): choose a new"):
        prepare_checkpoints(tmp_path, RUN, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file cannot be used \(Not a directory\): choose another folder"):
        prepare_checkpoints(tmp_path / "file", RUN, resume=False)


def test_a_checkpoint_that_was_not_written_to_its_end_is_deleted_before_the_training_goes_on(tmp_path: Path) -> None:
    prepare_checkpoints(tmp_path, RUN, resume=False)
    complete = write_checkpoint(tmp_path, 2, json.dumps({"global_step": 2}))
    cut = write_checkpoint(tmp_path, 4, '{"global_st')
    without_state = tmp_path / "checkpoints" / "checkpoint-6"
    without_state.mkdir()
    folder = prepare_checkpoints(tmp_path, RUN, resume=True)
    assert complete.is_dir()
    assert not cut.exists()
    assert not without_state.exists()
    assert folder == tmp_path / "checkpoints"


def test_without_a_complete_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    prepare_checkpoints(tmp_path, RUN, resume=False)
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir()
    with pytest.raises(ConfigurationError, match="has no checkpoint: run the command without --resume"):
        prepare_checkpoints(tmp_path, RUN, resume=True)
    prepare_checkpoints(tmp_path, RUN, resume=False)
