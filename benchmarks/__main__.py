"""`make bench`: runs all measurements, prints tables and writes `benchmarks/results/<date>.json`.

Needs an idle machine and about 8 GB of memory. The first run builds engines in `.cache/`, so it takes longer.
"""

import argparse
import asyncio
import json
import os
import platform
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.exported_engine import describe_cpu
from benchmarks import cuda, engines, intake, services, xlsr

RESULTS = Path("benchmarks/results")
PARTS = ("engines", "cuda", "services", "callbacks", "intake", "hour", "start", "small_model")
TOOLS = ("torch", "transformers", "onnxruntime", "openvino", "nncf", "starlette", "uvicorn", "asyncpg")
# Without a precision, the service chooses bf16 if the processor has it, else fp32.
OPENVINO: dict[str, object] = {"engine": "openvino"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the services; engines get twice as many")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run; writes no results")
    options = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 180)
    folder = xlsr.ensure().resolve()
    found: dict[str, Any] = {"machine": describe_machine(), "minutes": {}}
    if "engines" in options.only:
        with _timed(found, "engines"):
            on_engines = engines.measure_engines(folder, rounds=2 * options.rounds)
        found["engines"] = asdict(on_engines)
        engines.show(on_engines, console)
    if "cuda" in options.only:
        with _timed(found, "cuda"):
            found["cuda"] = cuda.measure(folder)
    asyncio.run(measure_services(found, folder, options.rounds, options.only))
    found["machine"]["load_after"] = os.getloadavg()
    show_services(found, console)
    _show("minutes by part", [found["minutes"] | {"all": sum(found["minutes"].values())}], console)
    if len(options.only) == len(PARTS):
        path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        console.print(f"written to {path}")


@contextmanager
def _timed(found: dict[str, Any], part: str) -> Iterator[None]:
    """Add the minutes of a part to the results."""
    started = perf_counter()
    yield
    found["minutes"][part] = (perf_counter() - started) / 60


def describe_machine() -> dict[str, Any]:
    """Return the machine and the package versions of the measurement."""
    return {
        "processor": _processor(),
        "features": describe_cpu(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in TOOLS},
        "load_before": os.getloadavg(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


async def measure_services(found: dict[str, Any], folder: Path, rounds: int, parts: Sequence[str]) -> None:
    """Measure whole services, and the shipped model for the documentation. Adds the results to `found`."""
    model = str(folder)
    async with services.open_bench() as bench:
        found["database"] = await services.read_database(bench)
        measures: dict[str, Callable[[], Awaitable[Any]]] = {
            "services": lambda: services.compare_with_naive(bench, folder, rounds=rounds),
            "callbacks": lambda: services.follow_callbacks(bench, model, OPENVINO),
            "intake": lambda: intake.measure_intake(bench, model, OPENVINO),
            "hour": lambda: services.long_against_short(bench, model, OPENVINO, rounds=rounds),
            "start": lambda: services.measure_start(bench),
            "small_model": lambda: services.small_model_rate(bench, rounds=rounds),
        }
        for part, measure in measures.items():
            if part in parts:
                with _timed(found, part):
                    found[part] = await measure()


def show_services(found: dict[str, Any], console: Console) -> None:
    """Print a table for each part that was measured."""
    fsync = f"Postgres {found['database']['server_version']}, fsync {found['database']['fsync']}"
    if "services" in found:
        _show(f"/predict with uploads in 8 kHz μ-law ({fsync})", found["services"]["rows"], console)
    if "callbacks" in found:
        callbacks = dict(found["callbacks"])
        _show(f"callback → verdict, ms ({fsync})", [callbacks | callbacks.pop("stage_ms_mean")], console)
    if "intake" in found:
        _show(f"one callback at a time ({fsync})", [found["intake"]["one_at_a_time"]], console)
        _show(
            f"callbacks while call_log is locked for {intake.LOCK_S:g} s ({fsync})",
            [found["intake"]["locked"]],
            console,
        )
        _show(f"callbacks at a constant rate, per second ({fsync})", found["intake"]["rates"], console)
    if "hour" in found:
        rows = [{"recording": name} | row for name, row in found["hour"].items()]
        _show(f"recordings of one hour and of 5 s ({fsync})", rows, console)
    if "start" in found:
        _show(f"start of a process, with the shipped model ({fsync})", found["start"], console)
    if "small_model" in found:
        _show("/predict with the shipped model", [found["small_model"]], console)


def _show(title: str, rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*[f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()])
    console.print(table)


if __name__ == "__main__":
    main()
