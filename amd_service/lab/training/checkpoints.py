"""Checkpoints of a training, and whether a later run may continue from them."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from amd_service.errors import ConfigurationError
from amd_service.lab.dataset.labelled_files import MOST_NAMES
from amd_service.lab.training.model_folder import CHECKPOINTS, write_json

_RUN = "run.json"
_EACH = "checkpoint-*"
# The Trainer writes this file of a checkpoint last.
_LAST_WRITTEN = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Run:
    """The part of a training that must not change when it is resumed. `data`: digest of files, labels and splits."""

    start: str
    labels: str
    lora_rank: int | None
    seed: int
    data: str


def prepare_checkpoints(out: Path, run: Run, *, resume: bool) -> Path:
    """Return the folder for checkpoints in `out`, and record the run there.

    Deletes checkpoints that were not written to their end. Raises ConfigurationError: `out` holds other files, a
    finished model, or checkpoints although `resume` is off; there is no checkpoint to resume from, or the checkpoints
    belong to another run; `out` cannot be written.
    """
    folder = out / CHECKPOINTS
    _raise_if_taken(out)
    _delete_incomplete(folder)
    has_checkpoints = any(folder.glob(_EACH))
    if resume and not has_checkpoints:
        raise ConfigurationError(f"{folder} has no checkpoint: run the command without --resume")
    if resume:
        _raise_if_other_run(folder, run)
    elif has_checkpoints:
        raise ConfigurationError(
            f"{folder} has checkpoints of an unfinished training: continue it with --resume, or delete the folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _RUN, asdict(run))
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be used ({error.strerror}): choose another folder for --out") from error
    return folder


def _raise_if_taken(out: Path) -> None:
    """The finished model gets a README.md among others, which must not replace a file of the user."""
    if (out / "config.json").exists():
        raise ConfigurationError(f"{out} already holds a model: choose another folder for --out, or delete this one")
    foreign = sorted(path.name for path in out.iterdir() if path.name != CHECKPOINTS) if out.is_dir() else []
    if foreign:
        names = ", ".join(foreign[:MOST_NAMES])
        raise ConfigurationError(f"{out} contains files that no training made ({names}): choose a new folder for --out")


def _delete_incomplete(folder: Path) -> None:
    """Delete checkpoints whose last file is missing or cut, by a full disk or Ctrl-C: the Trainer would load them."""
    for checkpoint in folder.glob(_EACH):
        try:
            json.loads((checkpoint / _LAST_WRITTEN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint, ignore_errors=True)


def _raise_if_other_run(folder: Path, run: Run) -> None:
    try:
        earlier = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder / _RUN} cannot be read ({error}): delete {folder} and start again"
        ) from error
    different = [
        f"{name} {earlier.get(name)} → {value}" for name, value in asdict(run).items() if earlier.get(name) != value
    ]
    if different:
        raise ConfigurationError(
            f"{folder} belongs to another training ({'; '.join(different)}): use the same options and the same "
            "dataset as before, or choose another folder for --out"
        )
