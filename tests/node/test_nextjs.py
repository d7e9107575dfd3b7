"""Runs the route handlers of docs/nextjs in Node.js against the real service."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amd_service.simulator.service_process import COMMAND, ServiceProcess, free_port
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.backend import Backend
from tests.support.fixture_calls import CALLS, HUMAN
from tests.support.scene import Scene, until_state

pytestmark = [pytest.mark.anyio, pytest.mark.node]

SID = "CA" + "5" * 32
RECORDING = CALLS / "01-human-hello" / "recording.wav"
SILENCE = CALLS / "21-silence" / "recording.wav"
NO_AUDIO = CALLS / "01-human-hello" / "origin.txt"


async def test_route_handlers_return_the_services_results(backend: Backend, scene: Scene) -> None:
    """This is one test, because starting the service takes longer than all requests of the test."""
    async with scene.run_service((*COMMAND, "serve")) as service:
        await service.wait_until_ready()
        await _check_uploads(backend, service)
        await _check_calls(backend, scene, service)


async def _check_uploads(backend: Backend, service: ServiceProcess) -> None:
    human = await backend.upload(service.url, RECORDING)
    assert (human.status, human.body["status"], human.body["reason"]) == (200, "HUMAN", "confident")
    assert 0.5 < human.body["confidence"] <= 1
    assert human.body["processingTimeMs"] > 0
    silence = await backend.upload(service.url, SILENCE)
    assert (silence.status, silence.body["status"], silence.body["confidence"]) == (200, "UNDECIDED", None)
    no_audio = await backend.upload(service.url, NO_AUDIO)
    assert (no_audio.status, no_audio.headers["content-type"]) == (422, "application/problem+json")
    assert "WAV or MP3" in no_audio.body["detail"]


async def _check_calls(backend: Backend, scene: Scene, service: ServiceProcess) -> None:
    call_sid = await scene.report_ended_call(service, MediaFile(HUMAN))
    await until_state(service, call_sid, "judged")
    call = await backend.read_call(service.url, call_sid)
    assert (call.status, call.body["callSid"]) == (200, call_sid)
    assert (call.body["status"], call.body["pending"], call.body["reason"]) == ("HUMAN", False, "confident")
    unknown = await backend.read_call(service.url, "CA" + "0" * 32)
    assert (unknown.status, unknown.headers["content-type"]) == (404, "application/problem+json")


@asynccontextmanager
async def stub_service(response: Response) -> AsyncIterator[tuple[str, list[Request]]]:
    """A stub service that sends `response` to every request. Yields its URL and the received requests."""
    received: list[Request] = []

    async def receive(request: Request) -> Response:
        await request.body()
        received.append(request)
        return response

    async with serve_on_loopback(Starlette(routes=[Route("/{path:path}", receive, methods=["GET", "POST"])])) as url:
        yield url, received


def a_call(**fields: object) -> JSONResponse:
    row = {"call_sid": SID, "analysis_state": "judged", "label": "human", "confidence": 0.9, "reason": "confident"}
    return JSONResponse(row | fields)


async def test_the_api_key_is_forwarded(backend: Backend) -> None:
    async with stub_service(a_call()) as (url, received):
        await backend.read_call(url, SID, AMD_API_KEY="a-key")
        await backend.read_call(url, SID)
    assert [request.headers.get("authorization") for request in received] == ["Bearer a-key", None]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_services_retry_after_is_forwarded(backend: Backend, status: int) -> None:
    busy = JSONResponse({"detail": "busy"}, status, {"retry-after": "7"}, "application/problem+json")
    async with stub_service(busy) as (url, _):
        answer = await backend.upload(url, RECORDING)
    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    assert answer.body == {"status": status, "detail": "busy"}


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_service_error_becomes_502_without_its_details(backend: Backend, status: int) -> None:
    async with stub_service(JSONResponse({"detail": "AMD_API_KEYS …"}, status)) as (url, _):
        answer = await backend.upload(url, RECORDING)
    assert answer.status == 502
    assert "AMD_API_KEYS" not in answer.body["detail"]


async def test_an_unknown_label_is_an_error_and_never_a_status(backend: Backend) -> None:
    async with stub_service(a_call(label="robot")) as (url, _):
        assert (await backend.upload(url, RECORDING)).status == 502
        assert (await backend.read_call(url, SID)).status == 502


async def test_undecided_stays_undecided(backend: Backend) -> None:
    async with stub_service(a_call(label="undecided", confidence=None, reason="no_speech")) as (url, _):
        call = await backend.read_call(url, SID)
    assert (call.body["status"], call.body["confidence"], call.body["pending"]) == ("UNDECIDED", None, False)


@pytest.mark.parametrize(("state", "pending"), [("waiting", True), ("running", True), ("failed", False)])
async def test_a_call_without_a_verdict_has_no_status(backend: Backend, state: str, pending: bool) -> None:
    async with stub_service(a_call(analysis_state=state, label=None, confidence=None, reason=None)) as (url, _):
        call = await backend.read_call(url, SID)
    assert (call.status, call.body["status"], call.body["pending"]) == (200, None, pending)


async def test_a_service_timeout_becomes_504(backend: Backend) -> None:
    # The socket accepts connections, but no process responds.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        answer = await backend.upload(url, RECORDING, AMD_TIMEOUT_MS="50")
    assert answer.status == 504


async def test_an_unreachable_service_becomes_502(backend: Backend) -> None:
    answer = await backend.upload(f"http://127.0.0.1:{free_port()}", RECORDING)
    assert (answer.status, answer.body["detail"]) == (502, "the analysis service cannot be reached")


async def test_invalid_requests_are_rejected_without_calling_the_service(backend: Backend) -> None:
    async with stub_service(a_call()) as (url, received):
        answers = [
            await backend.upload(url, None),
            await backend.upload(url, RECORDING, field="file"),
            await backend.read_call(url, "../../metrics"),
        ]
    assert [answer.status for answer in answers] == [422, 422, 422]
    assert received == []
