"""The receiver of docs/receivers verifies events with the reference library for Python."""

import importlib.util
from pathlib import Path
from types import ModuleType

import httpx2
import pytest

from tests.support.sent_events import PAYLOAD, signed_headers
from tests.support.sids import CALL
from tests.support.webhook_receiver import OLD_SECRET, SECRET

pytestmark = pytest.mark.anyio

FILE = Path(__file__).parents[3] / "docs" / "receivers" / "starlette_receiver.py"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("AMD_DELIVERY_SECRET", SECRET)
    spec = importlib.util.spec_from_file_location("starlette_receiver", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def post(receiver: ModuleType, body: str, headers: dict[str, str]) -> int:
    transport = httpx2.ASGITransport(receiver.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://backend") as client:
        return (await client.post("/amd-events", content=body.encode(), headers=headers)).status_code


async def test_an_event_that_arrives_twice_is_stored_once(receiver: ModuleType) -> None:
    for _ in range(2):
        assert await post(receiver, PAYLOAD, await signed_headers(OLD_SECRET, SECRET)) == 204
    assert list(receiver.EVENTS) == [f"evt_{CALL}_1"]


async def test_a_wrong_signature_is_refused(receiver: ModuleType) -> None:
    assert await post(receiver, PAYLOAD, await signed_headers(OLD_SECRET)) == 401
    assert receiver.EVENTS == {}
