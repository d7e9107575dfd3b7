"""POST /predict with the bundled model."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from starlette.types import ASGIApp, Message

from amd_service.database.pool import Database
from amd_service.errors import QueueFull
from amd_service.telemetry import Metrics
from amd_service.web.api.uploads import translate_detection_errors
from amd_service.web.app import create_app
from amd_service.web.problems import Problem
from tests.support.app import API_KEY, App, open_app
from tests.support.detectors import ready
from tests.support.fixture_calls import CALLS, HUMAN, SILENCE, VOICEMAIL, expected, samples_of
from tests.support.models import StubEngine
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MULAW = {"content-type": "audio/x-mulaw;rate=8000"}
WAV = {"content-type": "audio/wav"}


async def chunks_of(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def problem(response: httpx2.Response) -> tuple[int, str]:
    """Check that an error response is problem details. Returns the status and `detail`."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["detail"]


@pytest.mark.parametrize(("recording", "label"), [(HUMAN, "human"), (VOICEMAIL, "voicemail")])
async def test_the_multipart_field_audio_is_judged(judging: App, recording: bytes, label: str) -> None:
    response = await judging.client.post("/predict", files={"audio": ("call.wav", recording, "audio/wav")})
    assert response.status_code == 200
    verdict = response.json()
    assert (verdict["label"], verdict["reason"]) == (label, "confident")
    assert verdict["confidence"] == max(verdict["scores"].values())
    assert verdict["model"]["id"] == "demo"
    assert verdict["window"]["length_ms"] >= 1000


async def test_a_response_begins_with_label_confidence_and_time(judging: App) -> None:
    response = await judging.client.post("/predict", content=HUMAN, headers=WAV)
    first, second, third, *_ = json.loads(response.text, object_pairs_hook=list)
    assert [first[0], second[0], third[0]] == ["label", "confidence", "processing_time_ms"]
    assert third[1] > 0


async def test_a_recording_as_the_whole_body_is_judged(judging: App) -> None:
    verdict = (await judging.client.post("/predict", content=VOICEMAIL, headers=WAV)).json()
    assert verdict["label"] == "voicemail"


async def test_raw_mulaw_gets_the_same_verdict_as_the_wav_file(judging: App) -> None:
    raw = (await judging.client.post("/predict", content=samples_of(HUMAN), headers=MULAW)).json()
    whole = (await judging.client.post("/predict", content=HUMAN, headers=WAV)).json()
    assert raw | {"processing_time_ms": 0} == whole | {"processing_time_ms": 0}


async def test_raw_mulaw_in_a_multipart_field_is_judged(judging: App) -> None:
    files = {"audio": ("call.raw", samples_of(HUMAN), MULAW["content-type"])}
    assert (await judging.client.post("/predict", files=files)).json()["label"] == "human"


async def test_raw_audio_without_a_rate_gets_422_with_an_example(judging: App) -> None:
    response = await judging.client.post(
        "/predict", content=samples_of(HUMAN), headers={"content-type": "audio/x-mulaw"}
    )
    status, detail = problem(response)
    assert status == 422
    assert "audio/x-mulaw;rate=8000" in detail


async def test_silence_is_undecided_without_a_confidence(judging: App) -> None:
    response = await judging.client.post("/predict", content=SILENCE, headers=WAV)
    assert response.status_code == 200
    verdict = response.json()
    assert (verdict["label"], verdict["confidence"], verdict["reason"]) == ("undecided", None, "no_speech")
    assert (verdict["scores"], verdict["window"], verdict["model"], verdict["runs"]) == (None, None, None, 0)


@pytest.mark.parametrize("name", ["14-dual-callee-on-channel-1", "15-dual-callee-on-channel-2"])
async def test_the_channel_of_the_called_party_can_be_chosen(judging: App, name: str) -> None:
    channel = int(name[-1])
    recording = (CALLS / name / "recording.wav").read_bytes()
    response = await judging.client.post(f"/predict?channel={channel}", content=recording, headers=WAV)
    verdict = response.json()
    assert (verdict["channel"], verdict["channels_mixed"]) == (channel, False)
    assert verdict["label"] == expected(name)["label"]
    mixed = (await judging.client.post("/predict", content=recording, headers=WAV)).json()
    assert (mixed["channel"], mixed["channels_mixed"]) == (None, True)


@pytest.mark.parametrize("channel", ["0", "3", "left", "", "1.0"])
async def test_an_invalid_channel_gets_422(judging: App, channel: str) -> None:
    response = await judging.client.post(f"/predict?channel={channel}", content=HUMAN, headers=WAV)
    status, detail = problem(response)
    assert status == 422
    assert "`channel` must be 1 or 2, the channel of the called party" in detail


@pytest.mark.parametrize(
    "body", [b"", b"garbage" * 200, b"RIFF\x00\x00", b"<?xml version='1.0'?><TwilioResponse/>", bytes(5000)]
)
async def test_undecodable_audio_gets_422(judging: App, body: bytes) -> None:
    assert problem(await judging.client.post("/predict", content=body, headers=WAV))[0] == 422


async def test_a_form_without_the_field_audio_gets_422(judging: App) -> None:
    response = await judging.client.post("/predict", files={"file": ("call.wav", HUMAN, "audio/wav")})
    status, detail = problem(response)
    assert status == 422
    assert "rename it to 'audio'" in detail


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
async def test_a_malformed_form_gets_400(judging: App, content_type: str) -> None:
    response = await judging.client.post("/predict", content=b"no boundary", headers={"content-type": content_type})
    assert problem(response)[0] == 400


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_content_type_that_is_not_audio_gets_415(judging: App, content_type: str) -> None:
    response = await judging.client.post("/predict", content=b"{}", headers={"content-type": content_type})
    status, detail = problem(response)
    assert status == 415
    assert "multipart/form-data" in detail


@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_over_the_size_limit_gets_413(closed_database: Database, announced: bool) -> None:
    service = open_app(closed_database, max_upload_bytes=2000)
    body = HUMAN if announced else chunks_of(HUMAN)
    assert problem(await service.client.post("/predict", content=body, headers=WAV))[0] == 413
    if announced:
        form = await service.client.post("/predict", files={"audio": ("call.wav", HUMAN, "audio/wav")})
        assert problem(form)[0] == 413


async def test_a_classifier_that_is_not_ready_gets_503_with_retry_after(closed_database: Database) -> None:
    response = await open_app(closed_database).client.post("/predict", content=HUMAN, headers=WAV)
    status, detail = problem(response)
    assert status == 503
    assert "not ready" in detail
    assert int(response.headers["retry-after"]) > 0


async def test_a_full_queue_gets_429_with_retry_after(closed_database: Database) -> None:
    engine = StubEngine()
    async with ready(engine, inference_queue=1) as detector:
        service = open_app(closed_database, detector)
        engine.hold()
        first = asyncio.create_task(service.client.post("/predict", content=HUMAN, headers=WAV))
        await asyncio.to_thread(engine.entered.acquire)
        others = [asyncio.create_task(service.client.post("/predict", content=HUMAN, headers=WAV)) for _ in range(2)]
        refused, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        engine.free.set()
        [response] = [task.result() for task in refused]
        assert problem(response)[0] == 429
        assert int(response.headers["retry-after"]) > 0
        assert [(await task).status_code for task in (first, *waiting)] == [200, 200]


@pytest.mark.parametrize(("estimate_s", "header"), [(7.2, "8"), (0.01, "1"), (0.0, "1"), (None, "1")])
def test_retry_after_is_the_estimate_rounded_up_and_at_least_one_second(estimate_s: float | None, header: str) -> None:
    with pytest.raises(Problem) as raised, translate_detection_errors():
        raise QueueFull("the queue is full", retry_after_s=estimate_s)
    assert raised.value.headers == {"retry-after": header}


async def test_the_request_of_a_client_that_disconnects_is_cancelled(closed_database: Database) -> None:
    engine, metrics = StubEngine(), Metrics()

    def waiting_windows() -> float | None:
        return metrics.registry.get_sample_value("amd_inference_queue")

    async with ready(engine, metrics=metrics) as detector:
        service = open_app(closed_database, detector)
        engine.hold()
        first = asyncio.create_task(service.client.post("/predict", content=HUMAN, headers=WAV))
        await asyncio.to_thread(engine.entered.acquire)
        await upload_until(lambda: waiting_windows() == 1, create_app(service.runtime))
        assert waiting_windows() == 0
        engine.free.set()
        assert (await first).status_code == 200
        assert (await service.client.post("/predict", content=HUMAN, headers=WAV)).status_code == 200
    assert len(engine.calls) == 2


async def upload_until(condition: Callable[[], bool], app: ASGIApp) -> None:
    """Send a recording to `/predict` and disconnect when the condition is met."""
    messages: list[Message] = [{"type": "http.request", "body": HUMAN, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await until(condition)
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        """Discard the response."""

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "headers": [
            (b"content-type", b"audio/wav"),
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {API_KEY}".encode()),
        ],
    }
    await app(scope, receive, send)


async def test_an_unknown_path_and_an_unsupported_method_get_problems(judging: App) -> None:
    assert problem(await judging.client.get("/nothing"))[0] == 404
    wrong_method = await judging.client.get("/predict")
    assert problem(wrong_method) == (405, "/predict does not accept GET: use POST")
    assert wrong_method.headers["allow"] == "POST"
    assert problem(await judging.client.put("/api/calls"))[1].endswith("does not accept PUT: use GET or HEAD or POST")
    assert problem(await judging.client.post("/health"))[1] == "/health does not accept POST: use GET or HEAD"
