"""Probabilities of voicemail over the check windows, by an exported engine and by the reference."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amd_service.detection.classifier.engines.engine import open_engine
from amd_service.detection.classifier.engines.selection import has_cuda
from amd_service.detection.classifier.exported_engine import package_versions
from amd_service.detection.classifier.model import ModelFiles
from amd_service.detection.classifier.softmax import softmax
from amd_service.domain import Label
from amd_service.lab.export.check_windows import Samples

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EngineRun:
    """An engine at a precision.

    `graph`: the graph's file; None if the engine runs the model directly. `lengths_ms`: lengths of the windows of the
    service, for which the engine may prepare.
    """

    engine: str
    precision: str
    graph: Path | None
    lengths_ms: tuple[int, ...] = ()


REFERENCE = EngineRun("torch", "fp32", None)


def measure_probabilities(
    run: EngineRun, files: ModelFiles, threads: int, windows: Sequence[Samples], console: Console
) -> Probabilities:
    """Return the probability of voicemail of each window, shape (windows,), with a progress bar.

    The engine is released at the end, because two large engines may not fit into memory.
    """
    engine = open_engine(run.engine, run.precision, files, threads, run.graph, run.lengths_ms)
    voicemail = files.labels.labels.index(Label.VOICEMAIL)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{run.engine} {run.precision}", total=len(windows))
        found = []
        for samples in windows:
            found.append(float(softmax(engine.logits([samples])[0], files.temperature)[voicemail]))
            progress.advance(task)
    return np.array(found)


def reference_path(files: ModelFiles, windows: Sequence[Samples], cache: Path) -> Path:
    """Return the cache file of the reference's probabilities for a model, device, package versions and windows."""
    device = "cuda" if has_cuda() else "cpu"
    key = hashlib.sha256(f"{files.fingerprint} {device} {sorted(package_versions('torch').items())}".encode())
    for samples in windows:
        key.update(samples.tobytes())
    return cache / "references" / f"{key.hexdigest()[:32]}.npy"


def read_reference(path: Path, windows: int) -> Probabilities | None:
    """Read the cached probabilities. Returns None if the file is missing, unreadable or of another length."""
    try:
        found: Probabilities = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (windows,) else None


def write_reference(path: Path, probabilities: Probabilities) -> None:
    """Cache the reference's probabilities, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, probabilities)
    partial.replace(path)
