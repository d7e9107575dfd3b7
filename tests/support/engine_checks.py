"""Engine checks for tests."""

from collections.abc import Mapping
from types import MappingProxyType

from amd_service.detection.classifier.engine_check import EngineCheck, write_engine_check
from amd_service.detection.classifier.exported_engine import ExportedEngine


def make_engine_check(
    *,
    engine: str = "openvino",
    precision: str = "bf16",
    passed: bool = True,
    weights_sha256: str = "0" * 64,
    graph_sha256: Mapping[str, str] = MappingProxyType({}),
) -> EngineCheck:
    return EngineCheck(
        engine=engine,
        precision=precision,
        model="model",
        weights_sha256=weights_sha256,
        graph_sha256=dict(graph_sha256),
        passed=passed,
        explanation="within the limit" if passed else "exceeds the limit",
        limit=0.02,
        max_dp=0.004,
        mean_dp=0.001,
        flips={"0.5": 0, "0.7": 1},
        furthest_flip=0.002,
        windows=200,
        window_lengths_ms={"2000": 200},
        windows_from="24 recordings of calls",
        calibration_windows=0,
        versions={"openvino": "1"},
        machine="x86_64",
        measured_at="2026-01-01T00:00:00+00:00",
    )


def store_export(exported: ExportedEngine, *, passed: bool = True) -> None:
    """Write the files of an exported engine: the engine check, and the graph if the engine has a graph."""
    exported.folder.mkdir(parents=True, exist_ok=True)
    if exported.graph is not None and not exported.graph.exists():
        exported.graph.write_bytes(b"not a graph")
    record = make_engine_check(
        engine=exported.engine,
        precision=exported.precision,
        passed=passed,
        weights_sha256=exported.weights_sha256,
        graph_sha256=exported.hash_graph(),
    )
    write_engine_check(exported.folder, record)
