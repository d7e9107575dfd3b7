"""The OpenAPI document, checked against the service."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.calls.number_policy import NumberPolicy
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.runtime import assemble_runtime
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.simulator.twilio.resources import SimulatedCall, call_resource
from amd_service.telemetry import Metrics
from amd_service.tracing.spans import Traces
from amd_service.twilio.recordings import Recordings
from amd_service.twilio.rest import RestClient
from amd_service.web.api.openapi.document import describe
from amd_service.web.api.openapi.route import DescribedRoute
from amd_service.web.api.schemas import StreamLine
from amd_service.web.app import SERVICE_ROUTES, create_app
from tests.support.app import API_KEY, PUBLIC_URL, RECORDED, STATUS, App, make_settings, open_app
from tests.support.fixture_calls import HUMAN, SILENCE, VOICEMAIL, samples_of
from tests.support.sids import ACCOUNT, CALL

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

AUDIO = st.sampled_from([HUMAN, VOICEMAIL, SILENCE, HUMAN[:300], b"RIFF"]) | st.binary(max_size=2000)
for media_type in ("audio/wav", "audio/mpeg", "audio/x-mulaw", "audio/x-alaw", "audio/l16", "audio/basic"):
    schemathesis.openapi.media_type(media_type, AUDIO)
schemathesis.openapi.media_type("application/octet-stream", AUDIO)

DOCUMENT = describe(SERVICE_ROUTES)
api = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [api[path][method] for path, methods in DOCUMENT["paths"].items() for method in methods]
# An operation without parameters and without a body has no invalid requests.
CASES = [(operation, GenerationMode.POSITIVE) for operation in OPERATIONS] + [
    (operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation.body or operation.path_parameters
]
UPLOADS = ("/predict", "/predict-stream")
Operation = schemathesis.APIOperation[Any, Any, Any, Any]


class WithKey:
    """ASGI middleware that adds the correct API key. Other tests check access control."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            MutableHeaders(scope=scope)["authorization"] = f"Bearer {API_KEY}"
        await self._app(scope, receive, send)


def place(_request: httpx2.Request) -> httpx2.Response:
    """Simulated Twilio API: accepts every call."""
    return httpx2.Response(201, json=call_resource(SimulatedCall(account_sid=ACCOUNT)))


@pytest.fixture(scope="module")
def service_url(database_url: str) -> Iterator[str]:
    """The service with the bundled model. The service runs in a separate thread, because schemathesis blocks."""
    started: list[str] = []
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        everywhere = [f"+{digit}" for digit in range(1, 10)]
        settings = make_settings(threads=1, dial_prefixes=everywhere, dial_per_minute=10_000)
        metrics, database = Metrics(), Database(database_url)
        async with Detector.from_settings(settings, metrics) as detector:
            await detector.wait_ready_or_raise()
            # Generated call requests must not be sent to Twilio.
            client = httpx2.AsyncClient(transport=httpx2.MockTransport(place))
            rest, recordings = RestClient(client, settings), Recordings(client, settings)
            numbers = NumberPolicy.from_settings(settings)
            runtime = assemble_runtime(settings, metrics, database, detector, rest, recordings, numbers, Traces())
            app = create_app(runtime)
            app.add_middleware(WithKey)
            async with serve_on_loopback(app) as url:
                started.append(url)
                ready.set()
                await asyncio.to_thread(ended.wait)
        await database.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    yield started[0]
    ended.set()
    thread.join(30)


@pytest.mark.parametrize(("operation", "mode"), CASES, ids=lambda given: getattr(given, "label", given))
def test_every_response_of_the_service_conforms_to_the_document(
    operation: Operation, mode: GenerationMode, service_url: str
) -> None:
    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def send_case(case: schemathesis.Case[Any]) -> None:
        response = case.call_and_validate(base_url=service_url, checks=CHECKS, timeout=30)
        if not case.path.startswith("/twilio/"):
            assert response.status_code not in (401, 403), "the request did not reach the handler"

    send_case()


def test_the_document_has_every_route_and_no_other() -> None:
    served = {
        (route.path, method.lower())
        for route in SERVICE_ROUTES
        if isinstance(route, DescribedRoute)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods} == served


def test_every_operation_has_a_stable_id() -> None:
    ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert sorted(ids) == [
        "add_review",
        "analyse_call",
        "get_call",
        "health",
        "list_calls",
        "list_reviews",
        "metrics",
        "missing_upgrade",
        "model_info",
        "openapi",
        "predict",
        "predict_stream",
        "read_stats",
        "ready",
        "ready_classifier",
        "receive_amd",
        "receive_recording",
        "receive_status",
        "start_call",
        "stream_xml_get",
        "stream_xml_post",
    ]


def test_every_url_for_twilio_may_name_campaign_and_tags() -> None:
    operations = {
        (path, method): operation.get("parameters", [])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/twilio/") and path != "/twilio/media"
    }
    assert len(operations) == 5
    for where, parameters in operations.items():
        optional = [each["name"] for each in parameters if each["in"] == "query" and not each.get("required")]
        assert optional == ["campaign", "tag"], where


def test_every_sid_has_a_pattern() -> None:
    def schemas(node: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            yield from node.get("properties", {}).items()
            if node.get("in") in ("path", "query"):
                yield node["name"], node["schema"]
        if isinstance(node, dict | list):
            for child in node.values() if isinstance(node, dict) else node:
                yield from schemas(child)

    found = {name: schema for name, schema in schemas(DOCUMENT) if name.lower().endswith("sid")}
    assert {"sid", "call_sid", "account_sid", "recording_sid", "AccountSid", "CallSid", "RecordingSid"} <= set(found)
    assert [name for name, schema in found.items() if "{32}" not in str(schema)] == []


def test_predict_and_predict_stream_accept_the_same_audio() -> None:
    bodies = [
        set(DOCUMENT["paths"][path]["post"]["requestBody"]["content"]) for path in ("/predict", "/predict-stream")
    ]
    assert bodies[0] - bodies[1] == {"multipart/form-data"}
    assert "application/octet-stream" in bodies[1]


def test_every_error_response_is_problem_details() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_429_and_503_have_a_retry_after_header() -> None:
    responses = DOCUMENT["paths"]["/predict"]["post"]["responses"]
    assert all("Retry-After" in responses[status]["headers"] for status in ("429", "503"))


def test_verdicts_begin_with_label_confidence_and_time() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in ("PredictAnswer", "StreamLine"):
        assert list(schemas[name]["properties"])[:3] == ["label", "confidence", "processing_time_ms"]


@pytest.mark.anyio
async def test_the_document_needs_a_key(closed_database: Database) -> None:
    service = open_app(closed_database, api_keys="secret", host="0.0.0.0")
    assert (await service.client.get("/openapi.json")).status_code == 401
    response = await service.client.get("/openapi.json", headers={"authorization": "Bearer secret"})
    assert response.json() == DOCUMENT | {"servers": [{"url": PUBLIC_URL}]}


@pytest.mark.anyio
async def test_the_response_for_a_call_conforms_to_the_document(service: App) -> None:
    await service.callback("/twilio/status", STATUS)
    await service.callback("/twilio/recording", RECORDED)
    response = await service.client.get(f"/api/calls/{CALL}")
    assert response.json()["recordings"]
    api["/api/calls/{sid}"]["GET"].validate_response(response)


@pytest.mark.anyio
async def test_model_info_conforms_to_the_document_with_and_without_a_model(
    judging: App, closed_database: Database
) -> None:
    for service, phase in ((judging, "ready"), (open_app(closed_database), "stopped")):
        response = await service.client.get("/model-info")
        assert response.json()["phase"] == phase
        assert (response.json()["engine"] is None) == (phase == "stopped")
        api["/model-info"]["GET"].validate_response(response)
        api["/ready/classifier"]["GET"].validate_response(await service.client.get("/ready/classifier"))
        api["/health"]["GET"].validate_response(await service.client.get("/health"))


@pytest.mark.anyio
async def test_every_line_of_predict_stream_conforms_to_the_document(judging: App) -> None:
    response = await judging.client.post(
        "/predict-stream", content=samples_of(HUMAN), headers={"content-type": "audio/x-mulaw;rate=8000"}
    )
    lines = [StreamLine.model_validate_json(line) for line in response.text.splitlines()]
    assert [line.provisional for line in lines] == [True, True, False]
