"""The limit on concurrent uploads."""

import asyncio

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from amd_service.web.limiter import UploadLimiter

pytestmark = pytest.mark.anyio


async def test_an_upload_above_the_limit_gets_429_and_every_slot_is_released() -> None:
    inside, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/predict":
            inside.set()
            await release.wait()
        await PlainTextResponse("done")(scope, receive, send)

    app = UploadLimiter(slow, limit=1, path="/predict")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
        first = asyncio.create_task(client.post("/predict"))
        await inside.wait()
        refused = await client.post("/predict")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await client.get("/health")).status_code == 200
        release.set()
        assert (await first).status_code == 200
        assert (await client.post("/predict")).status_code == 200
