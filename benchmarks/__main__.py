"""`make bench`: runs all measurements, prints tables and writes `benchmarks/results/<date>.json`.

Needs an idle machine and about 8 GB of memory. The first run builds engines in `.cache/`, so it takes half an hour.
"""

import argparse
import asyncio
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.exported_engine import describe_cpu
from benchmarks import cuda, engines, intake, services, xlsr

RESULTS = Path("benchmarks/results")
TOOLS = ("torch", "transformers", "onnxruntime", "openvino", "nncf", "starlette", "uvicorn", "asyncpg")
# Without a precision, the service chooses bf16 if the processor has it, else fp32.
OPENVINO: dict[str, object] = {"engine": "openvino"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the services; engines get twice as many")
    options = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 180)
    folder = xlsr.ensure().resolve()
    found: dict[str, Any] = {"machine": describe_machine()}
    on_engines = engines.measure_engines(folder, rounds=2 * options.rounds)
    found["engines"] = asdict(on_engines)
    engines.show(on_engines, console)
    found["cuda"] = cuda.measure(folder)
    found |= asyncio.run(measure_services(folder, options.rounds))
    found["machine"]["load_after"] = os.getloadavg()
    show_services(found, console)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {path}")


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


async def measure_services(folder: Path, rounds: int) -> dict[str, Any]:
    """Measure whole services, and the shipped model for the documentation."""
    model = str(folder)
    async with services.open_bench() as bench:
        return {
            "database": await services.read_database(bench),
            "services": await services.compare_with_naive(bench, folder, rounds=rounds),
            "callbacks": await services.follow_callbacks(bench, model, OPENVINO),
            "intake": await intake.measure_intake(bench, model, OPENVINO),
            "hour": await services.long_against_short(bench, model, OPENVINO, rounds=rounds),
            "start": await services.measure_start(bench, "demo", rounds=rounds, engine="torch"),
            "small_model": await services.small_model_rate(bench, rounds=rounds),
        }


def show_services(found: dict[str, Any], console: Console) -> None:
    console.print(f"Postgres {found['database']['server_version']}, fsync {found['database']['fsync']}")
    rows = found["services"]["rows"]
    _show("/predict with uploads in 8 kHz μ-law", rows, console)
    callbacks = dict(found["callbacks"])
    _show("callback → verdict, ms", [callbacks | callbacks.pop("stage_ms_mean")], console)
    _show("one callback at a time (fsync off)", [found["intake"]["one_at_a_time"]], console)
    _show("callbacks at a constant rate, per second (fsync off)", found["intake"]["rates"], console)
    _show(
        "recordings of one hour and of 5 s", [{"recording": name} | row for name, row in found["hour"].items()], console
    )
    _show("the shipped model", [found["start"] | found["small_model"]], console)


def _show(title: str, rows: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*[f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()])
    console.print(table)


if __name__ == "__main__":
    main()
