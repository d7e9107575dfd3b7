"""The signed request, and what the answers of a backend mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from amd_service.domain import CallSid, DeliveryJob
from amd_service.errors import DeliveryFailed, DeliveryRefused, TargetRefused
from amd_service.operations.deliver.sender import Sender, open_sender
from amd_service.settings import Settings, load_settings
from tests.support.sids import CALL
from tests.support.webhook_receiver import OLD_SECRET, SECRET, Answer, WebhookReceiver, webhook_receiver

pytestmark = pytest.mark.anyio


def job(url: str) -> DeliveryJob:
    return DeliveryJob(7, CallSid(CALL), 1, url, '{"type":"call.judged","data":{"label":"Ω"}}', 1, 60.0, "worker#1")


def settings(**changes: object) -> Settings:
    given = {"delivery_secret": f"{SECRET},{OLD_SECRET}", "delivery_networks": "127.0.0.0/8", "delivery_timeout_s": 5}
    return load_settings(**given | changes)


@asynccontextmanager
async def sending(answer: Answer | None = None, **changes: object) -> AsyncIterator[tuple[Sender, WebhookReceiver]]:
    async with webhook_receiver() as receiver, open_sender(settings(**changes)) as sender:
        if answer is not None:
            receiver.answer = answer
        yield sender, receiver


def answering(status: int, **headers: str) -> Answer:
    async def answer(_request: Request) -> Response:
        return Response(status_code=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def test_each_secret_verifies_the_request() -> None:
    async with sending() as (sender, receiver):
        assert await sender.send(job(receiver.url)) == 204
    ((headers, body),) = receiver.requests
    assert (headers["webhook-id"], headers["content-type"]) == (f"evt_{CALL}_1", "application/json")
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(secret).verify(body, headers)["data"]["label"] == "Ω"


def test_a_signature_is_the_one_of_the_specification() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    # and of the tests of its libraries.
    signature = Webhook(SECRET).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_is_a_failure_that_is_retried(status: int) -> None:
    async with sending(answering(status, retry_after="120")) as (sender, receiver):
        with pytest.raises(DeliveryFailed, match=f"answered {status}") as caught:
            await sender.send(job(receiver.url))
    assert (caught.value.status, caught.value.retry_after_s) == (status, 120)


async def test_a_redirect_is_not_followed() -> None:
    async with sending() as (sender, receiver):
        receiver.answer = answering(307, location=f"{receiver.url}/elsewhere")
        with pytest.raises(DeliveryFailed, match="redirects are not followed"):
            await sender.send(job(receiver.url))
        assert len(receiver.requests) == 1


async def test_410_ends_the_delivery() -> None:
    async with sending(answering(410)) as (sender, receiver):
        with pytest.raises(DeliveryRefused, match="410"):
            await sender.send(job(receiver.url))


async def test_a_backend_that_hangs_is_a_failure() -> None:
    async def hang(_request: Request) -> Response:
        await asyncio.sleep(30)
        return Response()

    async with sending(hang, delivery_timeout_s=0.2) as (sender, receiver):
        with pytest.raises(DeliveryFailed, match=r"within 0\.2 s"):
            await sender.send(job(receiver.url))


@pytest.mark.parametrize("end", ["hang", "break off"])
async def test_a_response_counts_as_soon_as_its_status_has_arrived(end: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"accepted"
        if end == "hang":
            await asyncio.sleep(30)
        raise ConnectionError

    async def accept(_request: Request) -> Response:
        return StreamingResponse(body(), status_code=202)

    async with sending(accept, delivery_timeout_s=1) as (sender, receiver):
        assert await sender.send(job(receiver.url)) == 202


async def test_a_backend_that_is_down_is_a_failure() -> None:
    async with sending() as (sender, _):
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            await sender.send(job("http://127.0.0.1:9/"))


async def test_a_loopback_backend_is_refused_unless_its_network_is_allowed() -> None:
    async with sending(delivery_networks="10.0.0.0/8") as (sender, receiver):
        for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(TargetRefused, match="AMD_DELIVERY_NETWORKS"):
                await sender.send(job(url))
    assert receiver.requests == []
