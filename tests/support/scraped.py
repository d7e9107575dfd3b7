"""A real Prometheus that scrapes the service on loopback, with the configuration of deploy/prometheus."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import yaml
from prometheus_client import Counter, Gauge, Histogram

from amd_service.simulator.service_process import free_port, stop
from amd_service.telemetry import Metrics
from amd_service.web.app import create_app
from tests.support.app import API_KEY, App
from tests.support.waiting import until

DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx2.AsyncClient

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. Fails with Prometheus' message if the expression is invalid."""
        answer = (await self.client.get("/api/v1/query", params={"query": expression})).json()
        assert answer["status"] == "success", answer
        series: list[dict[str, Any]] = answer["data"]["result"]
        return series

    async def rules(self) -> dict[str, str]:
        """The health of each alert rule: `ok` after an evaluation without an error."""
        groups = (await self.client.get("/api/v1/rules")).json()["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


def observe_everything(metrics: Metrics) -> None:
    """Give every metric a time series, and count one event in each."""
    for metric in vars(metrics).values():
        if not isinstance(metric, Counter | Gauge | Histogram):
            continue
        names = metric._labelnames
        labelled = metric.labels(*(f"any {name}" for name in names)) if names else metric
        labelled.observe(0.2) if isinstance(labelled, Histogram) else labelled.inc()


@asynccontextmanager
async def served(service: App) -> AsyncIterator[int]:
    """Serve the app on a loopback port."""
    app = create_app(service.runtime)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        await until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True


def configuration(folder: Path, service_port: int) -> Path:
    """Write the deployed configuration with the address of the service, a key file and short intervals."""
    deployed = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text(encoding="utf-8"))
    (scrape,) = deployed["scrape_configs"]
    deployed["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    (folder / "key").write_text(API_KEY)
    scrape["authorization"]["credentials_file"] = str(folder / "key")
    del scrape["dns_sd_configs"]  # there is no DNS of Docker
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{service_port}"], "labels": {"__meta_dns_name": "service"}}]
    shutil.copy(DEPLOYED / "alerts.yml", folder)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(deployed))
    return folder / "prometheus.yml"


@asynccontextmanager
async def prometheus(folder: Path, service_port: int) -> AsyncIterator[Prometheus]:
    """Run Prometheus until the context ends. Yields when it has scraped the service three times."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={configuration(folder, service_port)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            running = Prometheus(client)

            async def has_scraped() -> bool:
                assert process.returncode is None, "Prometheus has ended"
                try:
                    return bool(await running.query('sum_over_time(up{job="amd"}[1m]) >= 3'))
                except (httpx2.TransportError, ValueError):
                    return False

            await until(has_scraped)
            yield running
    finally:
        await stop(process)
