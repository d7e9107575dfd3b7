"""Engine check: compares an engine's probabilities with those of the reference, and records the result."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.temporary_errors import temporary_cause

# Do not rename this file: users have exported engines with this file in their caches.
_FILE_NAME = "gate.json"


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """The result of the check of one engine at one precision, for one model on one kind of machine.

    - `max_dp`, `mean_dp`: maximum and mean of the absolute difference between the engine's and torch fp32's probability
      of voicemail. NaN counts as infinity;
    - `flips`: for each threshold, the number of windows whose two probabilities are on different sides of the
      threshold;
    - `furthest_flip`: among these windows, the largest distance between the reference's probability and the threshold;
    - `explanation`: the reason why the engine passed or failed, as text for people;
    - `graph_sha256`: the digest of each measured graph file by name. The mapping is empty for engines that run the
      model's weights.
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
    """Differences between two engines' probabilities on the same windows.

    The fields have the same meaning as in `EngineCheck`.
    """

    max_dp: float
    mean_dp: float
    flips: Mapping[str, int]
    furthest_flip: float


@dataclass(frozen=True, slots=True)
class Requirements:
    """Conditions that an engine must meet to serve.

    `max_dp`: largest allowed |Δp| to torch fp32, by precision. `windows`: minimum number of compared windows.
    """

    max_dp: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-4, "bf16": 0.02, "int8": 0.06})
    windows: int = 200

    def check(self, found: Deviation, *, precision: str, windows: int) -> tuple[bool, str]:
        """Return whether the engine passes the check, and the explanation. `windows`: number of compared windows."""
        limit = self.max_dp[precision]
        if windows < self.windows:
            return False, f"{windows} windows are too few, at least {self.windows} are needed"
        if not found.max_dp <= limit:
            return False, f"max |Δp| {found.max_dp:.2g} exceeds the limit of {limit:g} for {precision}"
        return True, f"max |Δp| {found.max_dp:.2g} is within the limit of {limit:g} for {precision}"


def measure_deviation(
    reference: NDArray[np.float64], candidate: NDArray[np.float64], thresholds: tuple[float, ...] = (0.5, 0.7)
) -> Deviation:
    """Compare the probabilities of voicemail of two engines, each of shape (windows,).

    A threshold t applies to both labels, so flips are counted at t and at 1 - t.
    """
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
    """Write the record of an engine check into an exported engine's folder. The write is atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{_FILE_NAME}.partial"
    partial.write_text(json.dumps(asdict(check), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / _FILE_NAME)


def read_engine_check(folder: Path) -> EngineCheck | None:
    """Read the record of an engine check from an exported engine's folder.

    The result is None if the folder has no record, or if this version cannot read the record. Raises OSError after a
    temporary error, because a missing record would select a slower engine.
    """
    try:
        content = json.loads((folder / _FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if temporary_cause(error):
            raise
        return None
    if not isinstance(content, dict) or set(content) != {each.name for each in fields(EngineCheck)}:
        return None
    return EngineCheck(**content)
