"""Chooses the engine and the precision. This module does not export or check engines."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from types import MappingProxyType

from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.exported_engine import (
    PRECISIONS,
    ExportedEngine,
    InstalledVersion,
    has_bf16,
    installed_version,
    locate_exported_engine,
    missing_package,
)
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to open.

    `exported`: None for the reference, torch fp32. `reason`: the reason for the choice, which is logged at start.
    """

    engine: str
    precision: str
    reason: str
    exported: ExportedEngine | None = None
    check: EngineCheck | None = None


class Obstacle(Enum):
    """Reasons why an engine cannot serve."""

    PACKAGE_MISSING = auto()
    NOT_EXPORTED = auto()
    CHECK_FAILED = auto()
    CANNOT_BE_OPENED = auto()


@dataclass(frozen=True, slots=True)
class Rejection:
    """The reason why an engine cannot serve. `message` names the cure."""

    obstacle: Obstacle
    message: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """Hardware features that influence the choice."""

    cuda: bool
    bf16: bool


def detect_hardware() -> Hardware:
    return Hardware(has_cuda(), has_bf16())


def has_cuda() -> bool:
    """Return True if PyTorch finds a CUDA device. PyTorch is imported (2 s, 200 MB) only if a driver is present."""
    if os.name != "nt" and not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/nvmap")):
        return False
    import torch

    return torch.cuda.is_available()


def choose(
    files: ModelFiles,
    settings: Settings,
    hardware: Hardware,
    unopened: Mapping[tuple[str, str], str] = MappingProxyType({}),
    *,
    installed: InstalledVersion = installed_version,
) -> Choice:
    """Choose the engine for a model under these settings.

    AMD_ENGINE=auto chooses the first of these engines that can serve:

    1. torch on CUDA;
    2. an exported engine that passed its engine check. bf16 needs a CPU with bf16 or AMD_PRECISION=bf16; int8 needs
       AMD_PRECISION=int8;
    3. torch fp32 on the CPU.

    `unopened`: the errors of engines that could not be opened. These engines are skipped. Raises ModelUnusable if the
    requested engine is not exported or failed its check. The error message names the command that cures the problem.
    """
    _check_settings(settings.engine, settings.precision)
    rejections: list[Rejection] = []
    for engine, precision in _candidates(settings, hardware):
        if (engine, precision) in unopened:
            rejections.append(Rejection(Obstacle.CANNOT_BE_OPENED, unopened[engine, precision]))
            continue
        found = _examine(files, engine, precision, settings.cache_dir, hardware, installed)
        if isinstance(found, Choice):
            return replace(found, reason="; ".join([found.reason, *unopened.values()]))
        rejections.append(found)
    messages = list(dict.fromkeys(each.message for each in rejections))
    if settings.engine == "auto" and settings.precision in (None, "fp32"):
        # If several engines are not exported, the message names only the first, which is the preferred engine.
        not_exported = [each.message for each in rejections if each.obstacle is Obstacle.NOT_EXPORTED]
        named = [message for message in messages if message not in not_exported[1:]]
        return Choice("torch", "fp32", f"no exported engine can serve: {'; '.join(named)}")
    requested = f"AMD_ENGINE={settings.engine}" + (f" AMD_PRECISION={settings.precision}" if settings.precision else "")
    raise ModelUnusable(f"{requested} cannot serve {files.id}: {'; '.join(messages)}")


def _check_settings(engine: str, precision: str | None) -> None:
    if engine != "auto" and precision is not None and precision not in PRECISIONS[engine]:
        raise ModelUnusable(
            f"AMD_ENGINE={engine} supports {' or '.join(PRECISIONS[engine])}, not {precision}: correct AMD_PRECISION"
        )


def _candidates(settings: Settings, hardware: Hardware) -> list[tuple[str, str]]:
    """Return the engines and precisions that the settings allow, in order of preference."""
    engine, precision = settings.engine, settings.precision
    if engine != "auto":
        return [(engine, each) for each in _precisions(engine, precision, hardware)]
    if hardware.cuda and precision in (None, "fp32", "bf16"):
        return [("torch", precision or "fp32")]
    if precision == "int8":
        return [("openvino", "int8"), ("onnx", "int8")]
    fast = [("openvino", "bf16"), ("torch", "bf16")] if hardware.bf16 or precision == "bf16" else []
    preferred = [*fast, ("openvino", "fp32"), ("onnx", "fp32")]
    return [(name, each) for name, each in preferred if precision in (None, each)]


def _precisions(engine: str, precision: str | None, hardware: Hardware) -> list[str]:
    if precision is not None:
        return [precision]
    if engine == "openvino":
        return ["bf16", "fp32"] if hardware.bf16 else ["fp32"]
    return ["fp32"]


def _examine(
    files: ModelFiles,
    engine: str,
    precision: str,
    cache_dir: Path,
    hardware: Hardware,
    installed: InstalledVersion,
) -> Choice | Rejection:
    cuda = engine == "torch" and hardware.cuda
    if (engine, precision) == ("torch", "fp32"):
        return Choice("torch", "fp32", "CUDA is available" if cuda else "AMD_ENGINE=torch: the reference, on the CPU")
    package = missing_package(engine, installed)
    if package is not None:
        cure = f"run pip install 'amd-service[{engine}]'"
        return Rejection(Obstacle.PACKAGE_MISSING, f"{engine} needs the package {package}: {cure}")
    device = "cuda" if cuda else "cpu"
    exported = locate_exported_engine(files, engine, precision, cache_dir, device=device, installed=installed)
    return _examine_export(exported)


def _examine_export(exported: ExportedEngine) -> Choice | Rejection:
    name = f"{exported.engine} {exported.precision}"
    check = exported.read_check()
    if check is None:
        problem = f"{name} is not exported for this model, this machine and the installed versions"
        return Rejection(Obstacle.NOT_EXPORTED, f"{problem}: run `{exported.command}`")
    if not check.passed:
        problem = f"{name} failed its engine check ({check.explanation})"
        return Rejection(
            Obstacle.CHECK_FAILED, f"{problem}: choose another engine, or run `{exported.command} --again`"
        )
    return Choice(exported.engine, exported.precision, f"engine check passed: {check.explanation}", exported, check)
