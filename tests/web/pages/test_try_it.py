"""GET /try and its samples."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from amd_service.calls.strata import LowConfidence
from amd_service.calls.tables import Base
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import SCOPES_OF_ROLE, AccessScope, Role
from amd_service.operations import credentials
from amd_service.web.pages.try_it import SAMPLES
from tests.support.app import App, open_app
from tests.support.fixture_calls import HUMAN, SILENCE, VOICEMAIL

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}


@pytest.fixture
async def storing(demo: Detector, database: Database) -> AsyncIterator[App]:
    """The service with a ready model and a database."""
    opened = open_app(database, demo)
    yield opened
    await opened.client.aclose()


async def test_the_page_has_the_thresholds_and_limits_of_the_service(database: Database) -> None:
    app = open_app(database, min_confidence_human=0.8, min_confidence_voicemail=0.95, max_upload_bytes=123_456)
    page = (await app.client.get("/try", headers=HTML)).text
    assert re.findall(r'data-configured="([\d.]+)"', page) == ["0.8", "0.95"]
    assert 'data-max-bytes="123456"' in page
    assert 'data-max-seconds="23"' in page
    assert "not stored" in page


async def test_thresholds_and_windows_of_a_model_count_before_it_is_loaded(database: Database, tmp_path: Path) -> None:
    stated = {"window_ms": 6000, "long_window_ms": 8000, "min_confidence_human": 0.81, "min_confidence_voicemail": 0.92}
    (tmp_path / "windows.json").write_text(json.dumps(stated))
    app = open_app(database, model=str(tmp_path))
    page = (await app.client.get("/try", headers=HTML)).text
    assert re.findall(r'data-configured="([\d.]+)"', page) == ["0.81", "0.92"]
    assert 'data-window-ms="6000"' in page
    assert "the longer window (8.0 s)" in page
    assert app.runtime.rules.low_confidence == app.runtime.plan.low == LowConfidence(0.91, 1.02)


@pytest.mark.parametrize(("beep_evidence", "is_named"), [("undecided", True), ("off", False)])
async def test_the_page_says_that_its_thresholds_leave_out_the_rules_about_evidence(
    database: Database, beep_evidence: str, *, is_named: bool
) -> None:
    app = open_app(database, beep_evidence=beep_evidence)
    assert (
        "A beep or the rhythm of speech does not change it" in (await app.client.get("/try", headers=HTML)).text
    ) is (is_named)


async def test_the_page_opens_while_the_model_is_not_loaded(service: App) -> None:
    assert not service.runtime.detector.is_ready
    assert (await service.client.get("/try", headers=HTML)).status_code == 200


@pytest.mark.parametrize(
    ("name", "recording"), [("human", HUMAN), ("voicemail", VOICEMAIL), ("silence", SILENCE), ("late-voicemail", None)]
)
async def test_a_sample_is_a_recording_that_comes_with_the_service(
    service: App, name: str, recording: bytes | None
) -> None:
    response = await service.client.get(f"/try/samples/{name}")
    assert (response.status_code, response.headers["content-type"]) == (200, "audio/wav")
    assert recording in (None, response.content)


@pytest.mark.parametrize("name", ["nothing", "..%2F..%2Fpyproject.toml"])
async def test_another_sample_does_not_exist(service: App, name: str) -> None:
    assert (await service.client.get(f"/try/samples/{name}")).status_code == 404


def test_every_sample_is_in_the_wheel() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert [sample.call for sample in SAMPLES if f'"fixtures/calls/{sample.call}" =' not in project] == []


async def test_the_page_needs_the_scope_predict_and_only_then_others_link_to_it(database: Database) -> None:
    app = open_app(database)
    reader = await credentials.add_api_key(database, "reader", [AccessScope.READ])
    predictor = await credentials.add_api_key(database, "predictor", [AccessScope.PREDICT])
    for key, status in ((reader, 403), (predictor, 200)):
        headers = HTML | {"authorization": f"Bearer {key}"}
        page = await app.client.get("/try", headers=headers)
        assert page.status_code == status
        assert ('href="/try"' in page.text) == (status == 200)
        assert (await app.client.get("/try/samples/human", headers=headers)).status_code == status
    assert AccessScope.PREDICT not in SCOPES_OF_ROLE[Role.VIEWER]


async def test_a_verdict_of_the_page_leaves_no_row_and_no_file(
    storing: App, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = await _rows(database)
    response = await storing.client.post(
        "/predict-stream?longer_window=true", content=HUMAN, headers={"content-type": "audio/wav"}
    )
    assert json.loads(response.text.splitlines()[-1])["label"] == "human"
    assert await _rows(database) == before
    assert _files(tmp_path) == []


async def _rows(database: Database) -> dict[str, int | None]:
    async with database.transaction() as session:
        return {
            name: await session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())
