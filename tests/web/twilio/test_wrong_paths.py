"""Requests from Twilio at a wrong path or with a wrong method."""

from urllib.parse import urlencode

import pytest
from starlette.types import Message, Receive, Scope, Send

from amd_service.database.pool import Database
from amd_service.simulator.twilio.signed_callbacks import sign
from amd_service.telemetry import Metrics
from amd_service.web.twilio.wrong_paths import WrongPaths
from tests.support.app import STATUS, TOKEN, App, open_app

pytestmark = pytest.mark.anyio

PREFIXED = "https://example.com/amd"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(params=["with keys", "without keys"])
async def app(database: Database, request: pytest.FixtureRequest) -> App:
    changes = {"api_keys": ""} if request.param == "without keys" else {}
    return open_app(database, public_url=PREFIXED, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["status", "recording", "amd", "stream.xml"])
@pytest.mark.parametrize("prefix", ["/amd", "/a/b c", "/twilio", "/", "/amd\n"])
async def test_a_callback_with_its_prefix_is_logged_counted_and_names_the_cure(
    app: App, name: str, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = f"{prefix}/twilio/{name}".replace(" ", "%20").replace("\n", "%0A")
    headers = sign(f"{PREFIXED}/twilio/{name}", STATUS, TOKEN)
    url = f"http://127.0.0.1:8080{path}"
    response = await app.client.post(url, content=urlencode(STATUS), headers={**headers, "authorization": ""})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    detail = response.json()["detail"]
    assert f"the proxy must strip the prefix {prefix!r}" in detail
    assert f"/twilio/{name}" in detail
    route = "stream" if name == "stream.xml" else name
    assert app.counted("amd_callbacks_total", route=route, outcome="refused_404") == 1
    logged = "".join(capfd.readouterr())
    assert "request from Twilio refused" in logged
    assert "must strip the prefix" in logged
    assert await app.rows() == {"call_log": 0, "callback": 0, "recording": 0}


async def test_the_same_callback_is_stored_when_the_proxy_strips_the_prefix(app: App) -> None:
    headers = sign(f"{PREFIXED}/twilio/status", STATUS, TOKEN)
    assert (await app.client.post("/twilio/status", content=urlencode(STATUS), headers=headers)).status_code == 204


async def test_a_media_stream_with_its_prefix_is_logged_counted_and_refused(capfd: pytest.CaptureFixture[str]) -> None:
    async def unreachable(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    metrics, sent = Metrics(), list[Message]()
    await WrongPaths(unreachable, metrics=metrics)({"type": "websocket", "path": "/amd/twilio/media"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert metrics.registry.get_sample_value("amd_streams_total", {"outcome": "refused"}) == 1
    assert "must strip the prefix" in "".join(capfd.readouterr())


@pytest.mark.parametrize("path", ["/twilio/status/", "/twilio/recording//"])
async def test_a_slash_at_the_end_of_the_path_is_logged_and_counted(
    app: App, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    response = await app.client.post(path, content=urlencode(STATUS), headers=FORM)
    assert (response.status_code, "without a slash" in response.json()["detail"]) == (404, True)
    assert "without a slash" in "".join(capfd.readouterr())
    assert app.counted("amd_callbacks_total", route=path.split("/")[2], outcome="refused_404") == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_a_callback_with_another_method_names_post(
    app: App, method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    response = await app.client.request(method, "/twilio/status?CallSid=CA1")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert "set the method of the callback to POST" in "".join(capfd.readouterr())
    assert app.counted("amd_callbacks_total", route="status", outcome="refused_405") == 1


@pytest.mark.parametrize("path", ["/amd/twilio/other", "/amd/twilio/status/x", "/xtwilio/status", "/amd"])
async def test_other_paths_stay_under_access_control(app: App, path: str) -> None:
    response = await app.client.post(path, content=urlencode(STATUS), headers={**FORM, "authorization": ""})
    assert response.status_code in (401, 403)
    assert app.counted("amd_callbacks_total", route="status", outcome="refused_404") == 0
