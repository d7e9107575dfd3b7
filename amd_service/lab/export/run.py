"""`amd-service model export`: build an engine once, gate it against the reference, say what was found."""

import fcntl
import hashlib
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engine_check import (
    EngineCheck,
    Requirements,
    measure_deviation,
    write_engine_check,
)
from amd_service.detection.classifier.engines.engine import Engine, open_engine
from amd_service.detection.classifier.engines.selection import has_cuda
from amd_service.detection.classifier.exported_engine import (
    PRECISIONS,
    ExportedEngine,
    describe_cpu,
    locate_exported_engine,
    missing_package,
    package_versions,
)
from amd_service.detection.classifier.model import RATE_HZ, ModelFiles, open_model
from amd_service.detection.classifier.softmax import softmax
from amd_service.detection.decision import Policy
from amd_service.domain import Label
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.lab.export.build import CALIBRATED, build, quiet_builders
from amd_service.lab.export.check_windows import Samples, WindowSets, draw_windows
from amd_service.settings import Settings

CALIBRATION_WINDOWS = 64

# Whose versions are kept with the record, so that it can be explained later.
_TOOLS = ("amd-service", "torch", "transformers", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf")


def export(
    settings: Settings,
    *,
    engine: str,
    precision: str,
    windows_dir: Path | None = None,
    again: bool = False,
    requirements: Requirements | None = None,
    console: Console | None = None,
) -> EngineCheck:
    """Build and gate one engine of the configured model; what passed before is only said again.

    `windows_dir`: recordings to calibrate and gate with, instead of those that ship. `again`: build and gate anew.
    The record is written beside the exported whether it passed or not; only one that passed is ever served. Takes
    minutes. Raises ModelUnusable and ConfigurationError with the cure.
    """
    console = console or Console(stderr=True)
    requirements = requirements or Requirements()
    _check(engine, precision)
    files = open_model(settings)
    device = "cuda" if engine == "torch" and has_cuda() else "cpu"
    exported = locate_exported_engine(files, engine, precision, settings.cache_dir, device=device)
    with _alone(exported.folder.parent, console):
        known = exported.read_check()
        if known is not None and known.passed and not again and windows_dir is None:
            console.print(f"{engine} {precision} of {files.id} was exported before; --again makes it anew")
            print_engine_check(known, exported, console)
            return known
        windows = draw_windows(settings, windows_dir, gate=requirements.windows, calibration=CALIBRATION_WINDOWS)
        _build(files, exported, windows, console)
        check = _measure(files, exported, windows, settings, requirements, console)
        write_engine_check(exported.folder, check)
        print_engine_check(check, exported, console)
        return check


def print_engine_check(check: EngineCheck, exported: ExportedEngine, console: Console) -> None:
    """The record, for people."""
    verdict = "[green]passed[/]" if check.passed else "[red]failed[/]"
    console.print(f"engine check {verdict}: {check.explanation}")
    flips = ", ".join(f"{count} at {threshold}" for threshold, count in check.flips.items())
    console.print(
        f"  {check.windows} windows ({check.windows_from}): max |Δp| {check.max_dp:.2g}, "
        f"mean |Δp| {check.mean_dp:.2g}, flips {flips}"
    )
    console.print(f"  kept in {exported.folder}", soft_wrap=True)
    if not check.passed:
        console.print("  it will not be served")
    elif check.precision == "int8":
        console.print(f"  served with AMD_ENGINE={check.engine} AMD_PRECISION=int8, never by itself")


@contextmanager
def _alone(folder: Path, console: Console) -> Iterator[None]:
    """Keep other exports of the same weights waiting: one must not measure the graph that another builds."""
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        with console.status("waiting for another export of this model"):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _check(engine: str, precision: str) -> None:
    if engine not in PRECISIONS or precision not in PRECISIONS[engine]:
        known = ", ".join(f"{name} {one}" for name, ones in PRECISIONS.items() for one in ones)
        raise ConfigurationError(f"there is no {engine} {precision}: take one of {known}")
    if (engine, precision) == ("torch", "fp32"):
        raise ConfigurationError("torch fp32 is the reference: it needs neither export nor gate")
    package = missing_package(engine)
    if package is not None:
        raise ModelUnusable(f"{engine} needs {package}: pip install -e '.[{engine}]' in the checkout")


def _build(files: ModelFiles, exported: ExportedEngine, windows: WindowSets, console: Console) -> None:
    """Build beside the place and move in whole: a folder that exists holds a finished graph."""
    if exported.graph is None:
        return
    doing = f"building {exported.engine} {exported.precision} of {files.id}: minutes for a large model"
    with TemporaryDirectory(dir=exported.folder.parent, prefix="build-") as folder, console.status(doing):
        built = Path(folder, "engine")
        built.mkdir()
        with quiet_builders():
            build(exported.engine, exported.precision, files, built / exported.graph.name, windows.calibration)
        shutil.rmtree(exported.folder, ignore_errors=True)
        built.rename(exported.folder)


def _measure(
    files: ModelFiles,
    exported: ExportedEngine,
    windows: WindowSets,
    settings: Settings,
    requirements: Requirements,
    console: Console,
) -> EngineCheck:
    threads = settings.threads or usable_cores()
    hashes = (
        exported.hash_graph()
    )  # before the graph is opened: what is put in its place later is not what was measured
    reference = _reference(files, threads, windows.gate, settings.cache_dir, console)
    candidate = _probabilities(
        exported.engine, exported.precision, exported.graph, files, threads, windows.gate, console
    )
    found = measure_deviation(reference, candidate, _thresholds(settings))
    passed, explanation = requirements.check(found, precision=exported.precision, windows=len(windows.gate))
    lengths = Counter(str(len(samples) * 1000 // RATE_HZ) for samples in windows.gate)
    return EngineCheck(
        engine=exported.engine,
        precision=exported.precision,
        model=files.id,
        weights_sha256=files.weights_sha256,
        graph_sha256=hashes,
        passed=passed,
        explanation=explanation,
        limit=requirements.max_dp[exported.precision],
        max_dp=found.max_dp,
        mean_dp=found.mean_dp,
        flips=dict(found.flips),
        furthest_flip=found.furthest_flip,
        windows=len(windows.gate),
        window_lengths_ms=dict(lengths),
        windows_from=windows.origin,
        calibration_windows=len(windows.calibration) if (exported.engine, exported.precision) in CALIBRATED else 0,
        versions=_versions(),
        machine=describe_cpu(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _thresholds(settings: Settings) -> tuple[float, ...]:
    """Where a verdict turns: between the labels, and at the least confidence of either."""
    policy = Policy.from_settings(settings)
    return tuple(sorted({0.5, policy.min_confidence_human, policy.min_confidence_voicemail}))


def _reference(
    files: ModelFiles, threads: int, windows: Sequence[Samples], cache: Path, console: Console
) -> NDArray[np.float64]:
    """Torch fp32's probabilities, kept for the next engine: on a large model they take longer than all the rest."""
    device = "cuda" if has_cuda() else "cpu"
    key = hashlib.sha256(f"{files.fingerprint} {device} {sorted(package_versions('torch').items())}".encode())
    for samples in windows:
        key.update(samples.tobytes())
    path = cache / "references" / f"{key.hexdigest()[:32]}.npy"
    kept = _read_reference(path, len(windows))
    if kept is not None:
        return kept
    found = _probabilities("torch", "fp32", None, files, threads, windows, console)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, found)
    partial.replace(path)
    return found


def _read_reference(path: Path, windows: int) -> NDArray[np.float64] | None:
    """What an earlier export kept; None where that is nothing, or nothing that can be read."""
    try:
        found: NDArray[np.float64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (windows,) else None


def _probabilities(
    name: str,
    precision: str,
    graph: Path | None,
    files: ModelFiles,
    threads: int,
    windows: Sequence[Samples],
    console: Console,
) -> NDArray[np.float64]:
    """Probability of voicemail of each window. The engine is let go at the end: two large ones need not fit."""
    engine = open_engine(name, precision, files, threads, graph)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{name} {precision}", total=len(windows))
        found = []
        for samples in windows:
            found.append(_probability(engine, files, samples))
            progress.advance(task)
    return np.array(found)


def _probability(engine: Engine, files: ModelFiles, samples: Samples) -> float:
    probabilities = softmax(engine.logits([samples])[0], files.temperature)
    return float(probabilities[files.labels.labels.index(Label.VOICEMAIL)])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
