"""Locates exported engines on disk.

The path of an exported engine depends on the model, the engine, its package versions and the CPU.
"""

import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from amd_service.detection.classifier.engine_check import EngineCheck, read_engine_check
from amd_service.detection.classifier.model import ModelFiles

# ONNX operator set of exported graphs. In set 20, Gelu is one operator. In set 18, Gelu consists of several operators,
# which ONNX Runtime does not fuse.
OPSET = 20

# Increase this number when exported graphs change, so that graphs of older versions are not used.
FORMAT = 1

PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "torch": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
}
# File name of the graph. PyTorch has no graph, because it runs the model's weights. Its folder contains only the record
# of the engine check.
GRAPHS: Mapping[str, str] = {"onnx": "model.onnx", "openvino": "model.xml"}

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "transformers"),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}
# CPU features that determine which kernels run, and therefore how results are rounded.
_X86_FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM_FEATURES = ("asimd", "asimddp", "i8mm", "bf16")

# Returns the installed version of a package; None if the package is not installed.
InstalledVersion = Callable[[str], str | None]


def installed_version(package: str) -> str | None:
    """The installed version of a package; None if the package is not installed. Does not import the package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class ExportedEngine:
    """The folder of one model for one engine at one precision. The folder may be empty or missing."""

    engine: str
    precision: str
    folder: Path
    weights_sha256: str

    @property
    def graph(self) -> Path | None:
        """The path of the graph, or None for engines that run the model's weights."""
        return self.folder / GRAPHS[self.engine] if self.engine in GRAPHS else None

    @property
    def command(self) -> str:
        """The command that exports this engine."""
        return f"amd-service model export --engine {self.engine} --precision {self.precision}"

    def read_check(self) -> EngineCheck | None:
        """Read the engine check of the graph in the folder.

        The result is None if the export is missing or incomplete, or if the record belongs to another graph. If the
        folder contains a record, the graph is hashed, which takes up to 1 s for a large model.
        """
        found = read_engine_check(self.folder)
        own = (self.engine, self.precision, self.weights_sha256)
        if found is None or (found.engine, found.precision, found.weights_sha256) != own:
            return None
        if self.graph is not None and not self.graph.exists():
            return None
        return found if found.graph_sha256 == self.hash_graph() else None

    def hash_graph(self) -> dict[str, str]:
        """Return the SHA-256 of the graph file and of the files beside it with the same stem, by file name."""
        if self.graph is None:
            return {}
        digests: dict[str, str] = {}
        for path in sorted(self.graph.parent.glob(f"{self.graph.stem}.*")):
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return digests


def locate_exported_engine(
    files: ModelFiles,
    engine: str,
    precision: str,
    cache_dir: Path,
    *,
    device: str = "cpu",
    cpu: str | None = None,
    installed: InstalledVersion = installed_version,
) -> ExportedEngine:
    """Locate the folder of a model's exported engine. The folder may be missing.

    `cpu`: a result of `describe_cpu`. If None, the CPU of this machine is used.
    """
    parts = [
        f"format {FORMAT}",
        f"opset {OPSET}",
        files.fingerprint,
        engine,
        precision,
        repr(sorted(package_versions(engine, installed).items())),
        cpu or describe_cpu(),
        device,
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    # Do not rename this folder: it contains the engines that earlier versions exported.
    folder = cache_dir / "artefacts" / files.weights_sha256[:16] / f"{engine}-{precision}-{key}"
    return ExportedEngine(engine, precision, folder, files.weights_sha256)


def missing_package(engine: str, installed: InstalledVersion = installed_version) -> str | None:
    """Return the first package that the engine needs and that is not installed, or None if no package is missing."""
    return next((name for name in _PACKAGES[engine] if installed(name) is None), None)


def package_versions(engine: str, installed: InstalledVersion = installed_version) -> dict[str, str]:
    """Return the versions of the packages that run the engine."""
    return {name: found for name in _PACKAGES[engine] if (found := installed(name)) is not None}


def describe_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's architecture and the CPU features that determine which kernels run.

    An example is `x86_64 avx2 avx512f amx_bf16`.

    An engine check is valid for only one combination of architecture and features. For example, int8 kernels without
    VNNI saturate on values for which kernels with VNNI do not.
    """
    features = _features(cpuinfo)
    return " ".join(
        [platform.machine() or "unknown", *(name for name in _X86_FEATURES + _ARM_FEATURES if name in features)]
    )


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return True if the CPU multiplies bfloat16 natively. On other CPUs bf16 is slower than fp32."""
    return not _features(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def _features(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    # The line is named `flags` on x86 and `Features` on Arm.
    line = next((line for line in lines if line.split(":")[0].strip().lower() in ("flags", "features")), "")
    return frozenset(line.partition(":")[2].split())
