"""Prometheus accepts the scrape configuration and the alert rules, and every alert fires when it should."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
UNIT_TESTS = Path(__file__).parent / "alerts_test.yml"
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]


def promtool(*arguments: object) -> str:
    """Run promtool. Returns its output, and fails with the output if promtool fails."""
    finished = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.prometheus
def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.prometheus
def test_promtool_accepts_the_scrape_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", RULES.with_name("prometheus.yml"))


@pytest.mark.prometheus
def test_every_alert_is_silent_before_an_error_and_fires_after_it() -> None:
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


def test_every_alert_has_a_unit_test_of_both_states() -> None:
    tests = yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"]
    assert [test["name"] for test in tests] == [alert["alert"] for alert in ALERTS]
    for test in tests:
        silent, firing = test["promql_expr_test"]
        assert "exp_samples" not in silent
        assert firing["exp_samples"] == [{"labels": f'{{alertname="{test["name"]}"}}', "value": 1}]


def test_every_alert_has_a_severity_and_says_what_to_do() -> None:
    assert max(Counter(alert["alert"] for alert in ALERTS).values()) == 1
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "description"}


def test_the_page_explains_every_alert() -> None:
    rows = re.findall(r"^\| `(Amd\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert rows == [(alert["alert"], alert["labels"]["severity"]) for alert in ALERTS]
