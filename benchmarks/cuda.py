"""Measures windows per second on a GPU by batch size, with the torch engine, and the share of the bf16 peak rate.

`python -m benchmarks.cuda [MODEL]`. Without a CUDA device it prints `{"device": null}`.
"""

import json
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from amd_service.detection.classifier.engines.engine import Engine, open_engine
from amd_service.detection.classifier.model import RATE_HZ, open_model
from amd_service.settings import Settings
from benchmarks import xlsr
from benchmarks.clips import clips
from benchmarks.compute_cost import ComputeCost

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SAMPLES = 32_000
ROUNDS = 20


def measure(folder: Path) -> dict[str, Any]:
    """Measure a model folder, one row per batch size. Without a GPU the result is `{"device": None}`."""
    if not torch.cuda.is_available():
        return {"device": None}
    files = open_model(Settings(model=str(folder)))
    peak_rate, cost = _peak_rate(), ComputeCost.of_model(folder, SAMPLES).total
    rows = []
    for precision in ("fp32", "bf16"):
        engine = open_engine("torch", precision, files, 1, None, [1000 * SAMPLES // RATE_HZ])
        rows += [_row(engine, precision, batch, cost, peak_rate) for batch in BATCHES if batch <= engine.max_batch]
    return {"device": torch.cuda.get_device_name(), "bf16_gflops": peak_rate, "gigaflop": cost, "rows": rows}


def _row(engine: Engine, precision: str, batch: int, cost: float, peak_rate: float) -> dict[str, float | str]:
    windows = clips(batch, SAMPLES / RATE_HZ)
    seconds = median(_timed(lambda: engine.logits(windows)) for _ in range(ROUNDS))
    rate = batch / seconds
    return {
        "precision": precision,
        "batch": batch,
        "windows_per_s": rate,
        "ms": 1000 * seconds,
        "share_of_peak": rate * cost / peak_rate,
    }


def _peak_rate() -> float:
    """Measure the rate of a large bf16 matrix product, in 10^9 operations per second."""
    size = 8192
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    return 2 * size**3 / min(_timed(lambda: left @ right) for _ in range(ROUNDS)) / 1e9


def _timed(run: Any) -> float:
    run()
    torch.cuda.synchronize()
    started = perf_counter()
    run()
    torch.cuda.synchronize()
    return perf_counter() - started


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else xlsr.ensure()), indent=1))
