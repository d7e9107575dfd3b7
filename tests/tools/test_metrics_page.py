"""The page about metrics lists the metrics of the code, and the alerts and the dashboard use only these."""

import re
from pathlib import Path

import yaml
from prometheus_client import generate_latest

from amd_service.telemetry import Metrics
from tests.support.grafana import targets
from tools.metrics_page import PAGE, metrics_table, with_metrics

PAGE_TEXT = PAGE.read_text(encoding="utf-8")
ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
OWN_NAME = re.compile(r"\b(?:amd|process)_[a-z_]+\b")
SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\)")
# Labels that Prometheus adds to each time series of a target, or to the time series of an alert.
OF_PROMETHEUS = {"job", "instance", "le", "alertname", "alertstate"}


def exposed() -> dict[str, set[str]]:
    """Return the labels of each time series in the table of the page, by name."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", metrics_table(), re.MULTILINE)
    names: dict[str, set[str]] = {}
    for name, kind, labels in rows:
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + suffix: set(re.findall(r"`(\w+)`", labels)) for suffix in suffixes}
    return names


def test_the_page_lists_every_metric() -> None:
    assert with_metrics(PAGE_TEXT) == PAGE_TEXT, "run `python -m tools.metrics_page`"


def test_the_table_has_every_time_series_that_a_scrape_returns() -> None:
    text = generate_latest(Metrics().registry).decode()
    scraped = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert "amd_callback_seconds_bucket" in scraped
    assert "amd_build_info" in scraped
    assert {name for name in scraped if not name.endswith("_created")} <= set(exposed())


def test_alerts_and_the_dashboard_use_only_metrics_and_labels_that_exist() -> None:
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
    expressions = [rule["expr"] for rule in rules] + [query for _, query in targets("service_health", "expr")]
    assert len(expressions) > 30
    known = exposed()
    for expression in expressions:
        names = [
            name for name in OWN_NAME.findall(expression) if name in known or name.startswith(("amd_", "process_"))
        ]
        assert set(names) <= set(known), expression
        labels = set[str]().union(*(known[name] for name in names))
        used = {label for group in GROUPED.findall(expression) for label in re.findall(r"\w+", group)}
        used |= {label for _, matchers in SELECTOR.findall(expression) for label in re.findall(r"(\w+)\s*=", matchers)}
        assert used <= labels | OF_PROMETHEUS, expression
