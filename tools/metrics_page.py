"""Generates the table in docs/metrics.md. Run `python -m tools.metrics_page`."""

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric

from amd_service.telemetry import Metrics

PAGE = Path("docs/metrics.md")
_BETWEEN = re.compile(r"(?<=<!-- metrics -->\n).*?(?=<!-- /metrics -->)", re.DOTALL)
# Suffix of the name in the text of /metrics, by type.
_SUFFIXES = {"counter": "_total", "info": "_info"}


def metrics_table() -> str:
    """Return all metrics as a Markdown table, in the order of the class Metrics."""
    return "\n".join(["", "| metric | type | labels | meaning |", "|---|---|---|---|", *_rows(), "", ""])


def with_metrics(page: str) -> str:
    """Return the page with a new table of metrics."""
    return _BETWEEN.sub(lambda _: metrics_table(), page)


def _rows() -> Iterator[str]:
    metrics = Metrics()
    labels = {
        metric.describe()[0].name: metric._labelnames
        for metric in vars(metrics).values()
        if hasattr(metric, "describe") and hasattr(metric, "_labelnames")
    }
    for metric in metrics.registry.collect():
        names = labels.get(metric.name) or _labels_of_samples(metric)
        shown = ", ".join(f"`{name}`" for name in names)
        name = metric.name + _SUFFIXES.get(metric.type, "")
        yield f"| `{name}` | {metric.type} | {shown} | {metric.documentation} |"


def _labels_of_samples(metric: Metric) -> list[str]:
    return sorted({label for sample in metric.samples for label in sample.labels} - {"le"})


if __name__ == "__main__":
    PAGE.write_text(with_metrics(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
