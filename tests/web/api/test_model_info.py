"""GET /model-info."""

import pytest

from amd_service.database.pool import Database
from tests.support.app import App, open_app
from tests.support.detectors import ready
from tests.support.engine_checks import make_engine_check
from tests.support.models import StubEngine

pytestmark = pytest.mark.anyio


async def test_the_bundled_model_is_shown_with_its_proof_policy_and_limits(judging: App) -> None:
    info = (await judging.client.get("/model-info")).json()
    assert (info["configured"], info["model"]["id"], info["demonstration"]) == ("demo", "demo", True)
    assert (info["model"]["engine"], info["model"]["precision"]) == ("torch", "fp32")
    assert info["model"]["proof"] == "proven"
    assert sorted(info["labels"]) == ["human", "voicemail"]
    assert info["policy"]["min_confidence"] == {"human": 0.7, "voicemail": 0.7}
    assert (info["policy"]["window_ms"], info["policy"]["long_window_ms"]) == (5000, 8000)
    assert info["limits"] == {"max_upload_bytes": 32 * 1024 * 1024, "inference_queue": 32}
    assert info["engine"]["gate"] is None
    assert info["engine"]["reason"]


async def test_an_exported_engine_is_shown_with_its_engine_check(closed_database: Database) -> None:
    async with ready(StubEngine(), check=make_engine_check()) as detector:
        info = (await open_app(closed_database, detector).client.get("/model-info")).json()
    gate = info["engine"]["gate"]
    assert (gate["passed"], gate["max_dp"], gate["limit"], gate["flips"]) == (True, 0.004, 0.02, {"0.5": 0, "0.7": 1})
    assert gate["windows"] == 200
