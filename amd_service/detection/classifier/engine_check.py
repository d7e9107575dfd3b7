"""The gate: how far an engine's probabilities may be from the reference's, and the record of what was found."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Largest |Δp| against torch fp32 that may serve, by precision.
LIMITS: Mapping[str, float] = {"fp32": 1e-4, "bf16": 0.02, "int8": 0.06}
LEAST_WINDOWS = 200

_NAME = "gate.json"


@dataclass(frozen=True, slots=True)
class Gate:
    """What was measured of one engine at one precision, for one model on one kind of machine.

    `max_dp`, `mean_dp`: |difference of the probability of voicemail| to torch fp32; NaN becomes infinite. `flips`:
    windows by threshold that lie on different sides of it. `furthest_flip`: how far from its threshold the
    reference's probability was where that happened, at most. `explanation`: why it passed or not, for people.
    `graph_sha256`: of each file of the graph that was measured, by name; empty where the engine runs the weights.
    """

    engine: str
    precision: str
    model: str
    weights_sha256: str
    graph_sha256: Mapping[str, str]
    passed: bool
    explanation: str
    limit: float
    max_dp: float
    mean_dp: float
    flips: Mapping[str, int]
    furthest_flip: float
    windows: int
    window_lengths_ms: Mapping[str, int]
    windows_from: str
    calibration_windows: int
    versions: Mapping[str, str]
    machine: str
    measured_at: str


@dataclass(frozen=True, slots=True)
class Deviation:
    """Differences between two engines' probabilities on the same windows. Fields as in `Gate`."""

    max_dp: float
    mean_dp: float
    flips: Mapping[str, int]
    furthest_flip: float


def deviation(
    reference: NDArray[np.float64], candidate: NDArray[np.float64], thresholds: tuple[float, ...] = (0.5, 0.7)
) -> Deviation:
    """Compare probabilities of voicemail, shape (windows,). A threshold t counts for both labels: at t and at 1 - t."""
    gap = np.nan_to_num(np.abs(reference - candidate), nan=np.inf)
    flips: dict[str, int] = {}
    furthest = 0.0
    for threshold in thresholds:
        flipped = np.zeros(len(reference), dtype=bool)
        for edge in {threshold, round(1 - threshold, 9)}:
            crossed = (reference >= edge) != (candidate >= edge)
            furthest = max(furthest, float(np.abs(reference - edge)[crossed].max(initial=0.0)))
            flipped |= crossed
        flips[f"{threshold:g}"] = int(flipped.sum())
    return Deviation(float(gap.max(initial=0.0)), float(gap.mean()), flips, furthest)


def judge(found: Deviation, *, precision: str, windows: int) -> tuple[bool, str]:
    """Whether an engine may serve, and why."""
    limit = LIMITS[precision]
    if windows < LEAST_WINDOWS:
        return False, f"{windows} windows are too few to tell; at least {LEAST_WINDOWS} are needed"
    if not found.max_dp <= limit:
        return False, f"max |Δp| {found.max_dp:.2g} is past the limit of {limit:g} for {precision}"
    return True, f"max |Δp| {found.max_dp:.2g} is within the limit of {limit:g} for {precision}"


def write_engine_check(folder: Path, gate: Gate) -> None:
    """Put the record beside the exported engine, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{_NAME}.partial"
    partial.write_text(json.dumps(asdict(gate), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / _NAME)


def read_engine_check(folder: Path) -> Gate | None:
    """The record in an exported engine's folder; None where there is none, or none that this version can read."""
    try:
        content = json.loads((folder / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(Gate)}:
        return None
    return Gate(**content)
