"""The banner of all pages."""

from collections.abc import Mapping

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.web.pages.notices import Notice, classifier_notices
from tests.support.app import App, open_app
from tests.support.detectors import ready
from tests.support.models import StubEngine

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
DEMONSTRATION = "Demonstration model"


def report(phase: str, *, demonstration: bool = False) -> Mapping[str, object]:
    return {"phase": phase, "reason": "a reason with a <cure>", "demonstration": demonstration}


@pytest.mark.parametrize("phase", ["loading", "warming", "proving"])
def test_a_model_that_is_not_ready_yet_is_a_temporary_notice(phase: str) -> None:
    [notice] = classifier_notices(report(phase))
    assert "not ready yet: a reason" in notice.text
    assert (notice.is_error, notice.is_temporary) == (False, True)


def test_a_failed_model_is_an_error_with_its_cure() -> None:
    assert classifier_notices(report("failed")) == [
        Notice("The model cannot be used: a reason with a <cure>", is_error=True)
    ]


def test_the_demonstration_model_is_named_as_such_and_another_model_has_no_notice() -> None:
    [notice] = classifier_notices(report("ready", demonstration=True))
    assert notice.text.startswith(DEMONSTRATION)
    assert classifier_notices(report("ready")) == []


def test_a_process_without_the_model_has_no_notice() -> None:
    assert classifier_notices(report("stopped")) == []


async def test_every_page_shows_the_banner_without_reading_the_database(
    demo: Detector, closed_database: Database
) -> None:
    app = open_app(closed_database, demo)
    for path in ("/try", "/nothing-here"):
        assert DEMONSTRATION in (await app.client.get(path, headers=HTML)).text


async def test_the_sign_in_page_shows_no_state(judging: App) -> None:
    page = await judging.client.get("/sign-in", headers=HTML | {"authorization": ""})
    assert page.status_code == 200
    assert "banner.js" not in page.text


async def test_an_open_page_learns_of_an_unavailable_database(judging: App) -> None:
    [about_model, about_database] = (await judging.client.get("/banner")).json()
    assert about_model["text"].startswith(DEMONSTRATION)
    assert about_database == {
        "text": "Callbacks cannot be stored now: the database is unavailable.",
        "is_error": True,
        "is_temporary": True,
    }


async def test_nothing_is_said_while_all_is_well(database: Database) -> None:
    async with ready(StubEngine()) as detector:
        assert (await open_app(database, detector).client.get("/banner")).json() == []


async def test_the_banner_needs_access(service: App) -> None:
    response = await service.client.get("/banner", headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401
