"""Where exported models are kept, and what makes one the right one: the model, the engine, its version, the CPU."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from amd_service.detection.classifier.engine_check import Gate, read_engine_check
from amd_service.detection.classifier.model import ModelFiles

# ONNX operator set of exported graphs: 20 has Gelu as one operator, which ONNX Runtime does not fuse from 18's parts.
OPSET = 20

# Raised when exported graphs change, so that those of an older version are not taken.
FORMAT = 1

PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "torch": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
}
# File name of the graph. PyTorch runs the model itself: its folder holds only the record of the engine check.
GRAPHS: Mapping[str, str] = {"onnx": "model.onnx", "openvino": "model.xml"}

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "transformers"),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}
# CPU features that change which kernels run, and with them the rounding.
_X86_FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM_FEATURES = ("asimd", "asimddp", "i8mm", "bf16")


@dataclass(frozen=True, slots=True)
class ExportedEngine:
    """The place of one model for one engine at one precision; whether something is there is another question."""

    engine: str
    precision: str
    folder: Path
    weights_sha256: str

    @property
    def graph(self) -> Path | None:
        """The graph's file; None for engines that run the model's own weights."""
        return self.folder / GRAPHS[self.engine] if self.engine in GRAPHS else None

    @property
    def gate(self) -> Gate | None:
        """What the gate said of the very graph that is there; None while nothing was exported, or only half.

        Hashes the graph where there is a record of it: up to a second for a large model.
        """
        found = read_engine_check(self.folder)
        if found is None or (found.engine, found.precision, found.weights_sha256) != self._own:
            return None
        if self.graph is not None and not self.graph.exists():
            return None
        return found if found.graph_sha256 == self.hash_graph() else None

    def hash_graph(self) -> dict[str, str]:
        """SHA-256 of the graph's files by name: the graph and what lies beside it under the same stem."""
        if self.graph is None:
            return {}
        return {path.name: _sha256(path) for path in sorted(self.graph.parent.glob(f"{self.graph.stem}.*"))}

    @property
    def _own(self) -> tuple[str, str, str]:
        return self.engine, self.precision, self.weights_sha256

    @property
    def command(self) -> str:
        """The command that makes it."""
        return f"amd-service model export --engine {self.engine} --precision {self.precision}"


def locate_exported_engine(
    files: ModelFiles, engine: str, precision: str, cache_dir: Path, *, device: str = "cpu"
) -> ExportedEngine:
    """Where the exported engine of this model belongs; its key holds the version of the engine's packages."""
    parts = [
        f"format {FORMAT}",
        f"opset {OPSET}",
        files.fingerprint,
        engine,
        precision,
        repr(sorted(versions(engine).items())),
        machine(),
        device,
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    name = f"{engine}-{precision}-{key}"
    folder = cache_dir / "artefacts" / files.weights_sha256[:16] / name
    return ExportedEngine(engine, precision, folder, files.weights_sha256)


def missing_package(engine: str) -> str | None:
    """The first package the engine needs and this installation lacks."""
    return next((name for name in _PACKAGES[engine] if _version(name) is None), None)


def versions(engine: str) -> dict[str, str]:
    """Versions of the packages that run the engine, read without importing them."""
    return {name: found for name in _PACKAGES[engine] if (found := _version(name)) is not None}


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Architecture and CPU features that decide which kernels run, such as `x86_64 avx2 avx512f amx_bf16`.

    An exported is gated for one of these: int8 kernels without VNNI saturate where those with it do not.
    """
    return " ".join(
        [platform.machine() or "unknown", *(name for name in _X86_FEATURES + _ARM_FEATURES if name in _flags(cpuinfo))]
    )


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies bfloat16 natively; without, bf16 is slower than fp32."""
    return not _flags(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def _flags(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    # `flags` on x86, `Features` on Arm.
    line = next((line for line in lines if line.split(":")[0].strip().lower() in ("flags", "features")), "")
    return frozenset(line.partition(":")[2].split())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
