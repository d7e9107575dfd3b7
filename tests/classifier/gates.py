"""Gate records for tests."""

from amd_service.classifier.artefacts import Artefact
from amd_service.classifier.gate import Gate, write_gate


def a_gate(*, engine: str = "openvino", precision: str = "bf16", passed: bool = True) -> Gate:
    return Gate(
        engine=engine,
        precision=precision,
        model="model",
        weights_sha256="0" * 64,
        passed=passed,
        explanation="within the limit" if passed else "past the limit",
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


def put(artefact: Artefact, *, passed: bool = True) -> None:
    """Leave an artefact as an export would: a graph (nobody opens it) and its record."""
    write_gate(artefact.folder, a_gate(engine=artefact.engine, precision=artefact.precision, passed=passed))
    if artefact.graph is not None:
        artefact.graph.touch()
