"""Unforeseen errors, delays, and the metrics about the process."""

from typing import Any

import pytest

from amd_service import __version__
from amd_service.domain import ModelIdentity, Source
from amd_service.telemetry import Metrics
from amd_service.twilio import callbacks
from tests.support.app import RECORDED, STATUS, App
from tests.support.sids import ACCOUNT, CALL
from tests.support.verdicts import HUMAN

pytestmark = pytest.mark.anyio

AMD = [("AccountSid", ACCOUNT), ("CallSid", CALL), ("AnsweredBy", "human")]
WEBHOOKS = [("status", STATUS), ("recording", RECORDED), ("amd", AMD)]


class Bug(Exception):
    """An error that no code expects."""


def fail(*_: Any, **__: Any) -> Any:
    raise Bug


@pytest.mark.parametrize(("route", "form"), WEBHOOKS)
async def test_an_unforeseen_error_of_a_webhook_is_counted(
    service: App, monkeypatch: pytest.MonkeyPatch, route: str, form: list[tuple[str, str]]
) -> None:
    assert service.counted("amd_callbacks_total", route=route, outcome="failed_500") == 0
    monkeypatch.setattr(service.runtime.database, "transaction", fail)
    with pytest.raises(Bug):  # the test client raises what uvicorn logs
        await service.callback(f"/twilio/{route}", form)
    assert service.counted("amd_callbacks_total", route=route, outcome="failed_500") == 1
    assert service.counted("amd_internal_errors_total", path=f"/twilio/{route}") == 1
    assert service.counted("amd_callback_seconds_count", route=route) == 1


async def test_an_unforeseen_error_while_the_form_is_read_is_counted(
    service: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "parse_form", fail)
    with pytest.raises(Bug):
        await service.callback("/twilio/stream.xml", STATUS)
    assert service.counted("amd_callbacks_total", route="stream", outcome="failed_500") == 1


async def test_an_unforeseen_error_of_the_api_is_counted_by_the_path_of_its_route(
    service: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.runtime.database, "transaction", fail)
    with pytest.raises(Bug):
        await service.client.get(f"/api/calls/{CALL}")
    text = (await service.client.get("/health")).text  # the service still responds
    assert "alive" in text
    counted = {
        sample.labels["path"]: sample.value
        for metric in service.runtime.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "amd_internal_errors_total"
    }
    assert [path for path, value in counted.items() if value] == ["/api/calls/{sid}"]
    assert "/twilio/status" in counted


@pytest.mark.parametrize(("route", "form"), WEBHOOKS)
async def test_the_seconds_of_every_callback_are_measured_also_of_refused_callbacks(
    service: App, route: str, form: list[tuple[str, str]]
) -> None:
    assert (await service.callback(f"/twilio/{route}", form)).status_code == 204
    assert (await service.callback(f"/twilio/{route}", form, token="wrong")).status_code == 403
    assert service.counted("amd_callback_seconds_count", route=route) == 2
    assert service.counted("amd_callback_seconds_bucket", route=route, le="15.0") == 2


async def test_metrics_contain_the_process_and_the_version(service: App) -> None:
    text = (await service.client.get("/metrics")).text
    assert f'amd_build_info{{version="{__version__}"}} 1.0' in text
    assert "process_resident_memory_bytes " in text
    assert "process_open_fds " in text
    assert "\namd_model_info{" not in text


def test_the_model_of_the_metrics_is_the_loaded_model() -> None:
    metrics = Metrics()
    first = ModelIdentity(id="org/model", revision="abc", weights_sha256="0", engine="torch")
    labels = {"model": "org/model", "revision": "abc", "engine": "torch"}
    metrics.set_model(first)
    assert metrics.registry.get_sample_value("amd_model_info", labels) == 1
    metrics.set_model(ModelIdentity(id="/srv/model", revision=None, weights_sha256="1", engine="openvino"))
    assert metrics.registry.get_sample_value("amd_model_info", labels) is None
    labels = {"model": "/srv/model", "revision": "", "engine": "openvino"}
    assert metrics.registry.get_sample_value("amd_model_info", labels) == 1
    metrics.set_model(None)
    assert metrics.registry.get_sample_value("amd_model_info", labels) is None


def test_an_unknown_time_of_answer_is_not_counted_as_zero() -> None:
    metrics = Metrics()
    labels = {"source": "stream", "campaign": ""}
    metrics.observe_verdict(HUMAN, Source.STREAM, campaign=None, answer_to_verdict_s=None)
    assert metrics.registry.get_sample_value("amd_answer_to_verdict_seconds_count", labels) is None
    metrics.observe_verdict(HUMAN, Source.STREAM, campaign=None, answer_to_verdict_s=2.2)
    bucket = labels | {"le": "2.5"}
    assert metrics.registry.get_sample_value("amd_answer_to_verdict_seconds_bucket", bucket) == 1


@pytest.mark.parametrize(
    ("configured", "campaign", "label"),
    [
        ([], None, ""),
        ([], "spring", ""),
        (["spring"], None, ""),
        (["spring", "autumn"], "spring", "spring"),
        (["spring"], "Spring", "other"),
    ],
)
def test_only_configured_campaigns_have_their_own_time_series(
    configured: list[str], campaign: str | None, label: str
) -> None:
    metrics = Metrics(configured)
    metrics.observe_verdict(HUMAN, Source.RECORDING, campaign=campaign, answer_to_verdict_s=2.2)
    verdicts = {"label": "human", "reason": "confident", "campaign": label}
    assert metrics.registry.get_sample_value("amd_verdicts_total", verdicts) == 1
    seconds = {"source": "recording", "campaign": label}
    assert metrics.registry.get_sample_value("amd_answer_to_verdict_seconds_count", seconds) == 1
