"""The service behind nginx and Caddy, with the configurations of docs/proxy.md."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import get_args

import httpx2
import pytest

from amd_service.domain import CallSid
from amd_service.simulator.service_process import COMMAND, free_port
from amd_service.simulator.twilio.signed_callbacks import Pairs, sign
from amd_service.simulator.twilio.streams import MediaStream, send_stream
from amd_service.twilio.stream_keys import stream_key
from tests.support.fixture_calls import HUMAN, samples_of
from tests.support.proxies import Kind, proxy
from tests.support.scene import Scene
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.proxies, pytest.mark.slow, pytest.mark.timeout(400)]

KEY = "k" * 32
SPEECH = samples_of(HUMAN)


@dataclass(frozen=True)
class Curl:
    """Sends requests with curl, which receives a response while it sends. Caddy forwards both only with HTTP/2."""

    kind: Kind
    url: str

    async def start(self, path: str, *arguments: str) -> asyncio.subprocess.Process:
        version = "--http1.1" if self.kind == "nginx" else "--http2-prior-knowledge"
        return await asyncio.create_subprocess_exec(
            *("curl", "--silent", "--no-buffer", version, "--request", "POST", *arguments),
            *("--header", "content-type: audio/x-mulaw;rate=8000", "--header", f"authorization: Bearer {KEY}"),
            f"{self.url}{path}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )


@pytest.mark.parametrize("kind", get_args(Kind))
async def test_the_documented_proxy_forwards_everything(kind: Kind, scene: Scene, tmp_path: Path) -> None:
    """This is one test for each proxy, because starting the service takes longer than all requests of the test."""
    port = free_port()
    public_url = f"http://127.0.0.1:{port}/amd"
    settings = {"public_url": public_url, "live": True, "api_keys": KEY}
    async with scene.run_service((*COMMAND, "serve", "--no-worker"), **settings) as service:
        await service.wait_until_alive()
        async with (
            proxy(kind, tmp_path, port, int(service.url.rpartition(":")[2])) as proxy_url,
            httpx2.AsyncClient(trust_env=False, timeout=120, headers={"authorization": f"Bearer {KEY}"}) as client,
        ):
            await _check_callbacks(client, scene, public_url, proxy_url)
            await _wait_until_ready(client, public_url)
            curl = Curl(kind, public_url)
            await _check_uploads(curl, tmp_path)
            await _check_milestones(curl)
            await _check_media_stream(scene, public_url)


async def _wait_until_ready(client: httpx2.AsyncClient, public_url: str) -> None:
    async def is_ready() -> bool:
        return (await client.get(f"{public_url}/ready/classifier")).status_code == 200

    await until(is_ready)


async def _check_callbacks(client: httpx2.AsyncClient, scene: Scene, public_url: str, proxy_url: str) -> None:
    """A signed callback is stored. A callback whose prefix is not stripped gets a 404 that names the cure."""
    form: Pairs = [
        ("AccountSid", scene.account.account_sid),
        ("CallSid", f"CA{token_hex(16)}"),
        ("CallStatus", "ringing"),
        ("From", "+1 500 555"),
        ("ToCity", "SAN JOSÉ"),
    ]
    headers = sign(f"{public_url}/twilio/status", form, scene.account.auth_tokens[0].get_secret_value())
    answer = await client.post(f"{public_url}/twilio/status", data=dict(form), headers=headers)
    assert answer.status_code == 204
    query = "?b=%2B&a=a+b%2Fc"
    headers = sign(f"{public_url}/twilio/status{query}", form, scene.account.auth_tokens[0].get_secret_value())
    answer = await client.post(f"{public_url}/twilio/status{query}", data=dict(form), headers=headers)
    assert answer.status_code == 204
    kept = await client.post(f"{proxy_url}/kept/twilio/status", data=dict(form), headers=headers)
    assert (kept.status_code, "strip the prefix '/kept'" in kept.json()["detail"]) == (404, True)


async def _check_uploads(curl: Curl, folder: Path) -> None:
    """The service, not the proxy, decides about an upload of almost and of just over AMD_MAX_UPLOAD_BYTES."""
    upload = folder / "upload"
    silence = b"\xff" * (32 * 1024 * 1024 - len(SPEECH))
    for more, expected in ((b"", "200 application/json"), (b"\xff", "413 application/problem+json")):
        upload.write_bytes(SPEECH + silence + more)
        arguments = ("--data-binary", f"@{upload}", "--write-out", "\n%{http_code} %{content_type}")
        process = await curl.start("/predict", *arguments)
        output, _ = await process.communicate()
        assert output.decode().splitlines()[-1] == expected, output


async def _check_milestones(curl: Curl) -> None:
    """The provisional verdicts arrive while the upload is still open."""
    # `.` reads standard input without blocking, so that curl receives while it waits for more input.
    process = await curl.start("/predict-stream", "--upload-file", ".")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(SPEECH)
    await process.stdin.drain()
    async with asyncio.timeout(60):
        first = json.loads(await process.stdout.readline())
    process.stdin.close()
    rest = await process.stdout.read()
    await process.wait()
    assert first["provisional"], "the first line came only after the end of the upload"
    assert not json.loads(rest.splitlines()[-1])["provisional"]


async def _check_media_stream(scene: Scene, public_url: str) -> None:
    call_sid = CallSid(f"CA{token_hex(16)}")
    token = scene.account.auth_tokens[0]
    stream = MediaStream(scene.account.account_sid, SPEECH, call_sid, parameters={"key": stream_key(token, call_sid)})
    url = f"{public_url.replace('http', 'ws', 1)}/twilio/media"
    result = await send_stream(url, stream, token=token.get_secret_value())
    assert (result.refused, result.close_code) == (None, 1000)
    assert result.sent > 50
