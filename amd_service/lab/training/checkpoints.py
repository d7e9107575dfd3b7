"""Checkpoints of a training, and whether a later run may continue from them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from amd_service.errors import ConfigurationError
from amd_service.lab.training.model_folder import CHECKPOINTS, write_json

_RUN = "run.json"


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

    Raises ConfigurationError: `out` holds a finished model or checkpoints although `resume` is off, there is no
    checkpoint to resume from, or the checkpoints belong to another run.
    """
    folder = out / CHECKPOINTS
    if (out / "config.json").exists():
        raise ConfigurationError(f"{out} already holds a model: choose another folder for --out, or delete this one")
    has_checkpoints = any(folder.glob("checkpoint-*"))
    if resume and not has_checkpoints:
        raise ConfigurationError(f"{folder} has no checkpoint: run the command without --resume")
    if resume:
        _raise_if_other_run(folder, run)
    elif has_checkpoints:
        raise ConfigurationError(
            f"{folder} has checkpoints of an unfinished training: continue it with --resume, or delete the folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RUN, asdict(run))
    return folder


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
