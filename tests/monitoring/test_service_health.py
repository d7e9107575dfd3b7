"""Every query of the dashboard "Service health" and every alert rule works in a Prometheus that scrapes the service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.telemetry import Metrics
from tests.support.app import App, make_settings, open_app
from tests.support.grafana import dashboard, expand_promql, targets
from tests.support.scraped import DEPLOYED, Prometheus, observe_everything, prometheus, served
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.prometheus, pytest.mark.slow]

QUERIES = {panel: expand_promql(query, {"instance": ".+"}) for panel, query in targets("service_health", "expr")}


@pytest.fixture
async def service(database: Database) -> AsyncIterator[App]:
    """The service with a loaded model. All its metrics have a value."""
    async with Detector.from_settings(make_settings(threads=1), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        opened = open_app(database, detector)
        observe_everything(opened.runtime.metrics)
        yield opened
        await opened.client.aclose()


@pytest.fixture
async def scraping(service: App, tmp_path: Path) -> AsyncIterator[Prometheus]:
    async with served(service) as port, prometheus(tmp_path, port) as running:
        # `increase()` counts only events after the first scrape.
        observe_everything(service.runtime.metrics)

        async def has_counted() -> bool:
            return bool(await running.query("increase(amd_lock_timeouts_total[1m]) > 0"))

        await until(has_counted)
        yield running


async def test_every_query_finds_series_and_every_rule_is_evaluated(scraping: Prometheus) -> None:
    found = {panel: await scraping.query(query) for panel, query in QUERIES.items()}
    assert len(found) > 20
    assert [panel for panel, series in found.items() if not series] == []

    rules = yaml.safe_load((DEPLOYED / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert await scraping.rules() == {rule["alert"]: "ok" for rule in rules}

    # The values of the variable `instance` come from this series.
    (variable,) = [v for v in dashboard("service_health")["templating"]["list"] if v["name"] == "instance"]
    assert variable["definition"] == 'label_values(up{job="amd"}, instance)'
    (process,) = await scraping.query('up{job="amd"}')
    assert process["metric"]["process"] == "serve"
