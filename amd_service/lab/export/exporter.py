"""`amd-service model export`: builds an engine once, compares it with the reference, prints the engine check."""

import fcntl
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engine_check import (
    EngineCheck,
    Requirements,
    measure_deviation,
    write_engine_check,
)
from amd_service.detection.classifier.engines.selection import Hardware, detect_hardware
from amd_service.detection.classifier.exported_engine import (
    PRECISIONS,
    ExportedEngine,
    describe_cpu,
    locate_exported_engine,
    missing_package,
)
from amd_service.detection.classifier.model import RATE_HZ, ModelFiles, open_model
from amd_service.detection.classifier.model_windows import WindowLengths
from amd_service.detection.decision import Policy
from amd_service.errors import ConfigurationError, ModelUnusable
from amd_service.lab.export.build import CALIBRATED, build, quiet_builders
from amd_service.lab.export.check_windows import Samples, WindowSets, draw_windows
from amd_service.lab.export.probabilities import (
    REFERENCE,
    EngineRun,
    Probabilities,
    measure_probabilities,
    read_reference,
    reference_path,
    write_reference,
)
from amd_service.settings import Settings

CALIBRATION_WINDOWS = 64

# Packages whose versions are stored in the engine check, to explain its result later.
_PACKAGES = ("amd-service", "torch", "transformers", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf")

DrawWindows = Callable[[Policy, Path | None, int, int], WindowSets]
Build = Callable[[str, str, ModelFiles, Path, Sequence[Samples]], None]
Measure = Callable[[EngineRun, ModelFiles, int, Sequence[Samples], Console], Probabilities]


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports engines of the configured model. Tests replace the slow steps and the hardware, which are fields."""

    settings: Settings
    console: Console = field(default_factory=lambda: Console(stderr=True))
    requirements: Requirements = field(default_factory=Requirements)
    draw_windows: DrawWindows = draw_windows
    build: Build = build
    measure: Measure = measure_probabilities
    detect_hardware: Callable[[], Hardware] = detect_hardware

    def export(
        self, engine: str, precision: str, *, windows_dir: Path | None = None, again: bool = False
    ) -> EngineCheck:
        """Build and check one engine. If the engine has already passed its check, only print the stored check.

        `windows_dir`: folder of recordings for calibration and check, instead of the shipped recordings. `again`: build
        and check even if the engine has already passed. The check is always stored next to the exported engine, but the
        service uses only an engine that passed. Takes minutes. Raises ModelUnusable or ConfigurationError; the message
        names the cure.
        """
        hardware = self.detect_hardware()
        require_exportable(engine, precision, hardware)
        files = open_model(self.settings)
        device = "cuda" if engine == "torch" and hardware.cuda else "cpu"
        exported = locate_exported_engine(files, engine, precision, self.settings.cache_dir, device=device)
        with self._lock(exported.folder.parent):
            known = exported.read_check()
            if known is not None and known.passed and not again and windows_dir is None:
                self.console.print(f"{engine} {precision} of {files.id} was exported before; --again exports it again")
                self._print_check(known, exported)
                return known
            policy = Policy.from_settings(self.settings, files.windows)
            windows = self.draw_windows(policy, windows_dir, self.requirements.windows, CALIBRATION_WINDOWS)
            self._build(files, exported, windows)
            check = self._check(files, exported, windows)
            write_engine_check(exported.folder, check)
            self._print_check(check, exported)
            return check

    @contextmanager
    def _lock(self, folder: Path) -> Iterator[None]:
        """Wait until other exports of the same weights end: a graph must not be replaced during its measurement."""
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with self.console.status("waiting for another export of this model"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _build(self, files: ModelFiles, exported: ExportedEngine, windows: WindowSets) -> None:
        """Build in a temporary folder, then rename it, so that the engine's folder never has an incomplete graph."""
        if exported.graph is None:
            return
        status = f"building {exported.engine} {exported.precision} of {files.id} (takes minutes for a large model)"
        with TemporaryDirectory(dir=exported.folder.parent, prefix="build-") as folder, self.console.status(status):
            built = Path(folder, "engine")
            built.mkdir()
            with quiet_builders():
                self.build(exported.engine, exported.precision, files, built / exported.graph.name, windows.calibration)
            shutil.rmtree(exported.folder, ignore_errors=True)
            built.rename(exported.folder)

    def _check(self, files: ModelFiles, exported: ExportedEngine, windows: WindowSets) -> EngineCheck:
        # Hash the graph before opening it, so that a file that replaces the graph later does not match the hash.
        hashes = exported.hash_graph()
        threads = self.settings.threads or usable_cores()
        reference = self._reference(files, threads, windows.check)
        # The check must run the same compiled graphs as the service.
        lengths_ms = WindowLengths.from_settings(self.settings, files.windows).distinct_ms
        run = EngineRun(exported.engine, exported.precision, exported.graph, lengths_ms)
        candidate = self.measure(run, files, threads, windows.check, self.console)
        policy = Policy.from_settings(self.settings, files.windows)
        thresholds = sorted({0.5, policy.min_confidence_human, policy.min_confidence_voicemail})
        found = measure_deviation(reference, candidate, tuple(thresholds))
        passed, explanation = self.requirements.check(found, precision=exported.precision, windows=len(windows.check))
        lengths = Counter(str(len(samples) * 1000 // RATE_HZ) for samples in windows.check)
        is_calibrated = (exported.engine, exported.precision) in CALIBRATED
        return EngineCheck(
            engine=exported.engine,
            precision=exported.precision,
            model=files.id,
            weights_sha256=files.weights_sha256,
            graph_sha256=hashes,
            passed=passed,
            explanation=explanation,
            limit=self.requirements.max_dp[exported.precision],
            max_dp=found.max_dp,
            mean_dp=found.mean_dp,
            flips=dict(found.flips),
            furthest_flip=found.furthest_flip,
            windows=len(windows.check),
            window_lengths_ms=dict(lengths),
            windows_from=windows.origin,
            calibration_windows=len(windows.calibration) if is_calibrated else 0,
            versions=_package_versions(),
            machine=describe_cpu(),
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _reference(self, files: ModelFiles, threads: int, windows: Sequence[Samples]) -> Probabilities:
        """Return the reference's probabilities.

        The result is cached, because computing it takes longest for a large model.
        """
        path = reference_path(files, windows, self.settings.cache_dir)
        cached = read_reference(path, len(windows))
        if cached is not None:
            return cached
        found = self.measure(REFERENCE, files, threads, windows, self.console)
        write_reference(path, found)
        return found

    def _print_check(self, check: EngineCheck, exported: ExportedEngine) -> None:
        verdict = "[green]passed[/]" if check.passed else "[red]failed[/]"
        flips = ", ".join(f"{count} at {threshold}" for threshold, count in check.flips.items())
        self.console.print(f"engine check {verdict}: {check.explanation}")
        self.console.print(
            f"  {check.windows} windows ({check.windows_from}): max |Δp| {check.max_dp:.2g}, "
            f"mean |Δp| {check.mean_dp:.2g}, flips {flips}"
        )
        self.console.print(f"  stored in {exported.folder}", soft_wrap=True)
        if not check.passed:
            self.console.print("  the service will not use this engine")
        elif check.precision == "int8":
            self.console.print(f"  used only with AMD_ENGINE={check.engine} AMD_PRECISION=int8, never automatically")


def require_exportable(engine: str, precision: str, hardware: Hardware) -> None:
    """Raise ConfigurationError for an unknown engine or the reference.

    Raises ModelUnusable for a missing package, and for bf16 on a device that only emulates it, slower than fp32.
    """
    if engine not in PRECISIONS or precision not in PRECISIONS[engine]:
        known = ", ".join(f"{name} {one}" for name, ones in PRECISIONS.items() for one in ones)
        raise ConfigurationError(f"unknown engine {engine} {precision}: choose one of {known}")
    if (engine, precision) == ("torch", "fp32"):
        raise ConfigurationError("torch fp32 is the reference: it needs neither export nor engine check")
    package = missing_package(engine)
    if package is not None:
        raise ModelUnusable(f"{engine} needs {package}: pip install 'amd-service[{engine}]'")
    if precision == "bf16" and not hardware.bf16 and not (engine == "torch" and hardware.cuda):
        faster = "openvino" if engine == "torch" else engine
        raise ModelUnusable(
            f"{engine} bf16 would be slower than fp32: this processor only emulates bf16; "
            f"run `amd-service model export --engine {faster} --precision fp32`"
        )


def _package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
