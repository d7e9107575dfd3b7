"""Measures each engine and precision on one model.

The figures are milliseconds per window, ratio to the naive call, share of the floor that the machine's rates allow,
memory, load time, and deviation from the reference.

`python -m benchmarks.engines` builds missing engines in `.cache/bench` and prints the table. Each round runs all
engines in sequence, so that other load on the machine affects all engines equally. The ratio of the minima is the most
stable figure.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import sleep

from rich.console import Console
from rich.table import Table

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engine_check import EngineCheck, Requirements
from amd_service.detection.classifier.exported_engine import has_bf16, locate_exported_engine
from amd_service.detection.classifier.model import RATE_HZ, ModelFiles, open_model
from amd_service.lab.export.exporter import Exporter
from amd_service.settings import Settings
from benchmarks import xlsr
from benchmarks.clips import Clip, clips
from benchmarks.compute_cost import ComputeCost, Rates
from benchmarks.engine_process import NAIVE, EngineProcess, Pair
from benchmarks.rates import measure_rates

CACHE = Path(".cache/bench")
ENGINES = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnx", "fp32"),
    ("onnx", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)
# Number of windows of each engine check. The service demands more: this cache serves only measurements.
CHECK_WINDOWS = 50

# Seconds of pause before each run, because threads of the previous engine may still spin for a moment.
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one engine. Times are per window. `ratio_*`: time divided by the time of the naive call.

    `share_of_floor`: floor of the precision divided by the shortest measured time.
    """

    engine: str
    precision: str
    median_ms: float
    min_ms: float
    ratio_medians: float
    ratio_minima: float
    share_of_floor: float
    load_s: float
    first_run_s: float
    rss_mb: float
    max_dp: float | None
    mean_dp: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of all engines.

    `rates`: rates of the machine in the same run. `gigaflop`: 10^9 operations per window. `floors_ms`: milliseconds
    that the rates allow, by engine and precision.
    """

    seconds: float
    rounds: int
    threads: int
    rates: Rates
    gigaflop: float
    floors_ms: dict[str, float]
    rows: list[Row]


def native_engines() -> list[Pair]:
    """Return the engines and precisions to measure: bf16 only if the processor does not emulate it."""
    return [pair for pair in ENGINES if pair[1] != "bf16" or has_bf16()]


def measure_engines(
    folder: Path,
    *,
    engines: Sequence[Pair] | None = None,
    seconds: float = 2.0,
    rounds: int = 5,
    threads: int | None = None,
) -> Result:
    """Measure engines on a model folder, by default all that the processor runs natively.

    Missing engines are exported first, which takes minutes. An engine that fails its check is also measured.
    """
    engines = engines or native_engines()
    threads = threads or usable_cores()
    settings = Settings(model=str(folder), cache_dir=CACHE, threads=threads)
    files = open_model(settings)
    checks = {pair: _checked(settings, files, *pair) for pair in engines if pair != ("torch", "fp32")}
    processes = {pair: EngineProcess(folder, pair, threads, CACHE) for pair in (NAIVE, *engines)}
    before = measure_rates(threads)
    times = _interleaved(processes, clips(8, seconds), rounds)
    facts = {pair: process.facts for pair, process in processes.items()}
    for process in processes.values():
        process.stop()
    rates, cost = before.at_least(measure_rates(threads)), ComputeCost.of_model(files.folder, round(seconds * RATE_HZ))
    floors = _floors(times, cost, rates)
    rows = [_row(pair, times[pair], times[NAIVE], floors[pair], facts[pair], checks.get(pair)) for pair in times]
    floors_ms = {f"{engine} {precision}": floor for (engine, precision), floor in floors.items()}
    return Result(seconds, rounds, threads, rates, cost.total, floors_ms, rows)


def _floors(times: Mapping[Pair, list[float]], cost: ComputeCost, rates: Rates) -> dict[Pair, float]:
    """Return the floor of each engine in milliseconds.

    If an engine was faster than the floor, then the measured rates were too low. Its shortest time is then the floor of
    all engines of its precision.
    """
    floors: dict[Pair, float] = {}
    for engine, precision in times:
        # OpenVINO runs the other parts of an int8 graph in bf16 if the processor has it.
        other = "bf16" if engine == "openvino" and has_bf16() else "fp32"
        computed = cost.floor_ms(rates, precision, other if precision == "int8" else precision)
        shortest = 1000 * min(min(found) for pair, found in times.items() if pair[1] == precision)
        floors[engine, precision] = min(computed, shortest)
    return floors


def _row(
    pair: tuple[str, str],
    times: list[float],
    naive: list[float],
    floor_ms: float,
    facts: dict[str, float],
    check: EngineCheck | None,
) -> Row:
    return Row(
        engine=pair[0],
        precision=pair[1],
        median_ms=1000 * median(times),
        min_ms=1000 * min(times),
        ratio_medians=median(one / other for one, other in zip(times, naive, strict=True)),
        ratio_minima=min(times) / min(naive),
        share_of_floor=floor_ms / (1000 * min(times)),
        load_s=facts["load_s"],
        first_run_s=facts["first_run_s"],
        rss_mb=facts["rss_mb"],
        max_dp=check.max_dp if check else None,
        mean_dp=check.mean_dp if check else None,
    )


def _checked(settings: Settings, files: ModelFiles, engine: str, precision: str) -> EngineCheck:
    known = locate_exported_engine(files, engine, precision, settings.cache_dir).read_check()
    requirements = Requirements(windows=CHECK_WINDOWS)
    return known or Exporter(settings, requirements=requirements).export(engine, precision)


def _interleaved(
    processes: Mapping[Pair, EngineProcess], sounds: Sequence[Clip], rounds: int
) -> dict[Pair, list[float]]:
    times: dict[Pair, list[float]] = {pair: [] for pair in processes}
    for process in processes.values():
        process.seconds(sounds[0])
    for round_number in range(rounds):
        for pair, process in processes.items():
            sleep(SETTLE_S)
            times[pair].append(process.seconds(sounds[round_number % len(sounds)]))
    return times


def show(result: Result, console: Console) -> None:
    rates = result.rates
    table = Table(title=f"{result.seconds:g} s windows, {result.threads} threads, {result.rounds} rounds")
    columns = ("engine", "ms median", "ms min", "ratio med", "ratio min", "of floor", "load s", "RSS MB", "max |Δp|")
    for column in columns:
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=True)
    for row in result.rows:
        table.add_row(
            f"{row.engine} {row.precision}",
            f"{row.median_ms:.0f}",
            f"{row.min_ms:.0f}",
            f"{row.ratio_medians:.2f}",
            f"{row.ratio_minima:.3f}",
            f"{row.share_of_floor:.0%}",
            f"{row.load_s:.1f}",
            f"{row.rss_mb:.0f}",
            "" if row.max_dp is None else f"{row.max_dp:.2g}",
        )
    console.print(table)
    bf16 = "emulated, not measured" if rates.bf16 is None else f"{rates.bf16:.0f}"
    console.print(
        f"{result.gigaflop:.1f} GFLOP per window; products at {rates.fp32:.0f} (fp32), {bf16} (bf16), "
        f"{rates.int8:.0f} (int8) GOP/s; memory read at {rates.read_gb_s:.0f}, activations copied at "
        f"{rates.copy_gb_s:.0f} GB/s"
    )
    floors = ", ".join(f"{name} {floor:.0f}" for name, floor in result.floors_ms.items())
    console.print(f"floors, ms: {floors}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="model folder; the default is a random model of the shape of XLS-R-300M"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    threads = options.threads or usable_cores()
    folder = options.model or xlsr.ensure()
    result = measure_engines(folder, rounds=options.rounds, seconds=options.seconds, threads=threads)
    show(result, Console())
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
