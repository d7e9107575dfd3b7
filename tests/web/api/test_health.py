"""Liveness, readiness and metrics, and the paths that need a key."""

import pytest

from amd_service.database.pool import Database
from tests.support.app import RECORDED, STATUS, App, open_app
from tests.support.postgres import with_database
from tests.support.sids import CALL, RECORDING

pytestmark = pytest.mark.anyio


async def test_health_shows_the_classifiers_phase_without_a_database(closed_database: Database) -> None:
    response = await open_app(closed_database).client.get("/health")
    assert response.status_code == 200
    assert response.json()["classifier"]["phase"] == "stopped"


async def test_ready_needs_only_the_database(service: App) -> None:
    assert (await service.client.get("/ready")).status_code == 200
    assert (await service.client.get("/ready/classifier")).status_code == 503


async def test_without_a_database_the_service_is_not_ready(closed_database: Database) -> None:
    response = await open_app(closed_database).client.get("/ready")
    assert response.status_code == 503
    assert "database is unavailable" in response.json()["reason"]


async def test_readiness_names_a_mistake_in_the_configuration_but_no_name_of_a_host_or_database(
    server_url: str,
) -> None:
    database = Database(with_database(server_url, "not_there"))
    response = await open_app(database).client.get("/ready")
    await database.dispose()
    assert (response.status_code, response.json()["reason"]) == (503, "the database does not exist")


@pytest.mark.parametrize("path", ["/ready", "/ready/classifier"])
async def test_a_service_that_is_not_ready_responds_with_a_problem_that_has_the_reports_members(
    closed_database: Database, path: str
) -> None:
    response = await open_app(closed_database).client.get(path)
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert (response.status_code, body["status"], body["ready"]) == (503, 503, False)
    assert body["detail"] == body["reason"] != ""


async def test_metrics_show_callbacks_and_queue(service: App) -> None:
    await service.callback("/twilio/status", STATUS)
    await service.callback("/twilio/recording", RECORDED)
    text = (await service.client.get("/metrics")).text
    assert 'amd_callbacks_total{outcome="stored",route="recording"} 1.0' in text
    assert 'amd_queue_depth{state="queued"} 1.0' in text


async def test_without_a_database_metrics_are_served(closed_database: Database) -> None:
    response = await open_app(closed_database).client.get("/metrics")
    assert response.status_code == 200
    assert 'amd_loop_errors_total{loop="metrics"} 1.0' in response.text


@pytest.mark.parametrize("path", ["/metrics", "/ready/classifier", "/model-info", f"/api/calls/{CALL}", "/predict"])
async def test_every_path_except_health_ready_and_webhooks_needs_a_key(database: Database, path: str) -> None:
    service = open_app(database, api_keys="secret", host="0.0.0.0")
    assert (await service.client.get(path)).status_code == 401
    assert (await service.client.get("/health")).status_code == 200
    assert (await service.client.get("/ready")).status_code == 200
    assert (await service.client.get(path, headers={"authorization": "Bearer secret"})).status_code != 401


async def test_an_unknown_call_gets_404(service: App) -> None:
    response = await service.client.get(f"/api/calls/{CALL}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_invalid_call_sid_gets_422(service: App) -> None:
    assert (await service.client.get("/api/calls/CA123")).status_code == 422


async def test_a_call_is_shown_with_its_recordings(service: App) -> None:
    await service.callback("/twilio/recording", RECORDED)
    await service.callback("/twilio/status", STATUS)
    call = (await service.client.get(f"/api/calls/{CALL}")).json()
    assert call["call_status"] == "completed"
    assert [recording["recording_sid"] for recording in call["recordings"]] == [RECORDING]
