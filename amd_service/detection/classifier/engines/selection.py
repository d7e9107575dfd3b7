"""Which engine serves, at which precision, and why. Nothing is exported or gated here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from amd_service.detection.classifier.engine_check import Gate
from amd_service.detection.classifier.exported_engine import (
    PRECISIONS,
    ExportedEngine,
    has_bf16,
    locate_exported_engine,
    missing_package,
)
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings

_ABSENT = "there is no"


@dataclass(frozen=True, slots=True)
class Choice:
    """`exported` is None for the reference, torch fp32, which needs none. `reason`: for the log at start."""

    engine: str
    precision: str
    reason: str
    exported: ExportedEngine | None = None
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What the hardware offers that decides between engines."""

    cuda: bool
    bf16: bool


def survey() -> Machine:
    """The machine we run on."""
    return Machine(has_cuda(), has_bf16())


def has_cuda() -> bool:
    """Whether PyTorch finds a CUDA device. PyTorch (2 s, 200 MB) is imported only where a driver is present."""
    if os.name != "nt" and not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/nvmap")):
        return False
    import torch

    return torch.cuda.is_available()


def choose(
    files: ModelFiles,
    settings: Settings,
    machine: Machine,
    unopened: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> Choice:
    """The engine for a model under these settings.

    `auto` takes CUDA, else an exported that passed its gate (bf16 only where the CPU has it, int8 only when
    AMD_PRECISION asks for it), else torch fp32. `unopened`: engines that were tried before, with what went wrong; they
    are passed over. Raises ModelUnusable, naming the command or the install line, when
    something was asked for that is not there or did not pass.
    """
    _check(settings.engine, settings.precision)
    wanted = _preferences(settings, machine)
    refusals = []
    for engine, precision in wanted:
        found = unopened.get((engine, precision)) or _examine(files, engine, precision, settings.cache_dir, machine)
        if isinstance(found, Choice):
            return replace(found, reason="; ".join([found.reason, *unopened.values()]))
        refusals.append(found)
    if settings.engine == "auto" and settings.precision in (None, "fp32"):
        return Choice("torch", "fp32", f"no exported engine can serve: {'; '.join(_telling(refusals))}")
    asked = f"AMD_ENGINE={settings.engine}" + (f" AMD_PRECISION={settings.precision}" if settings.precision else "")
    raise ModelUnusable(f"{asked} cannot serve {files.id}: {'; '.join(dict.fromkeys(refusals))}")


def _telling(refusals: list[str]) -> list[str]:
    """Each refusal once; of artefacts that were never built only the best one's."""
    absent = [refusal for refusal in refusals if refusal.startswith(_ABSENT)]
    return [refusal for refusal in dict.fromkeys(refusals) if refusal not in absent[1:]]


def _check(engine: str, precision: str | None) -> None:
    if engine != "auto" and engine not in PRECISIONS:
        raise ModelUnusable(f"AMD_ENGINE={engine} is not one of auto, {', '.join(PRECISIONS)}: correct AMD_ENGINE")
    if engine != "auto" and precision is not None and precision not in PRECISIONS[engine]:
        raise ModelUnusable(
            f"AMD_ENGINE={engine} runs {' or '.join(PRECISIONS[engine])}, not {precision}: correct AMD_PRECISION"
        )


def _preferences(settings: Settings, machine: Machine) -> list[tuple[str, str]]:
    """What the settings allow, the best first."""
    engine, precision = settings.engine, settings.precision
    if engine != "auto":
        return [(engine, one) for one in _precisions(engine, precision, machine)]
    if machine.cuda and precision in (None, "fp32", "bf16"):
        return [("torch", precision or "fp32")]
    fast = [("openvino", "bf16"), ("torch", "bf16")] if machine.bf16 or precision == "bf16" else []
    order = [*fast, ("openvino", "fp32"), ("onnx", "fp32")]
    if precision == "int8":
        order = [("openvino", "int8"), ("onnx", "int8")]
    return [(name, one) for name, one in order if precision in (None, one)]


def _precisions(engine: str, precision: str | None, machine: Machine) -> list[str]:
    if precision is not None:
        return [precision]
    if engine == "openvino":
        return ["bf16", "fp32"] if machine.bf16 else ["fp32"]
    return ["fp32"]


def _examine(files: ModelFiles, engine: str, precision: str, cache_dir: Path, machine: Machine) -> Choice | str:
    """The choice if this engine can serve, else why it cannot and what would cure it."""
    cuda = engine == "torch" and machine.cuda
    if (engine, precision) == ("torch", "fp32"):
        return Choice("torch", "fp32", "CUDA is there" if cuda else "AMD_ENGINE=torch: the reference, on the CPU")
    package = missing_package(engine)
    if package is not None:
        return f"{engine} needs the package {package}: pip install -e '.[{engine}]' in the checkout"
    exported = locate_exported_engine(files, engine, precision, cache_dir, device="cuda" if cuda else "cpu")
    gate = exported.gate
    if gate is None:
        return f"{_ABSENT} {engine} {precision} of this model for this machine and these versions: {_run(exported)}"
    if not gate.passed:
        return f"{engine} {precision} failed its gate ({gate.explanation}): choose another, or {_run(exported)} again"
    return Choice(engine, precision, f"its gate is passed: {gate.explanation}", exported, gate)


def _run(exported: ExportedEngine) -> str:
    return f"run `{exported.command}`"
