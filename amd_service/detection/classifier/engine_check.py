"""Engine check: how far an engine's probabilities are from the reference's, and the record of the result."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Exported engines in users' caches have their record under this name.
_FILE_NAME = "gate.json"


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """The result for one engine at one precision, for one model on one kind of machine.

    `max_dp`, `mean_dp`: |difference of the probability of voicemail| to torch fp32; NaN becomes infinite. `flips`:
    number of windows that lie on different sides of a threshold, by threshold. `furthest_flip`: the largest distance
    between a threshold and the reference's probability among them. `explanation`: why it passed or failed, for
    people. `graph_sha256`: digest of each measured graph file by name; empty for engines that run the weights.
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
    """Differences between two engines' probabilities on the same windows. Fields as in `EngineCheck`."""

    max_dp: float
    mean_dp: float
    flips: Mapping[str, int]
    furthest_flip: float


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an engine must meet to serve. `max_dp`: largest |Δp| to torch fp32 by precision."""

    max_dp: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-4, "bf16": 0.02, "int8": 0.06})
    windows: int = 200

    def check(self, found: Deviation, *, precision: str, windows: int) -> tuple[bool, str]:
        """Whether the engine passes, and why. `windows`: how many were compared."""
        limit = self.max_dp[precision]
        if windows < self.windows:
            return False, f"{windows} windows are too few, at least {self.windows} are needed"
        if not found.max_dp <= limit:
            return False, f"max |Δp| {found.max_dp:.2g} exceeds the limit of {limit:g} for {precision}"
        return True, f"max |Δp| {found.max_dp:.2g} is within the limit of {limit:g} for {precision}"


def measure_deviation(
    reference: NDArray[np.float64], candidate: NDArray[np.float64], thresholds: tuple[float, ...] = (0.5, 0.7)
) -> Deviation:
    """Compare probabilities of voicemail, shape (windows,). A threshold t applies to both labels: at t and at 1 - t."""
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


def write_engine_check(folder: Path, check: EngineCheck) -> None:
    """Write the record into an exported engine's folder, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{_FILE_NAME}.partial"
    partial.write_text(json.dumps(asdict(check), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / _FILE_NAME)


def read_engine_check(folder: Path) -> EngineCheck | None:
    """The record in an exported engine's folder; None if there is none, or none that this version can read."""
    try:
        content = json.loads((folder / _FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or set(content) != {each.name for each in fields(EngineCheck)}:
        return None
    return EngineCheck(**content)
