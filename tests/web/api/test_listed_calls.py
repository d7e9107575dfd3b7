"""GET /api/calls: filters, pages and masked numbers."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from amd_service.calls.call_filter import CallFilter, filter_query
from amd_service.database.pool import Database
from amd_service.domain import AnalysisState, CallStatus, Label, Reason, Role
from amd_service.web.api.filter_parameters import FILTER_PARAMETERS
from tests.support.app import PUBLIC_URL, App, open_app
from tests.support.call_rows import BEGAN, call, numbered_sid, store
from tests.support.people import signed_in

pytestmark = pytest.mark.anyio


def sids(response: httpx2.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [row["call_sid"] for row in response.json()["calls"]]


def detail(response: httpx2.Response) -> str:
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    return str(response.json()["detail"])


async def test_calls_are_listed_newest_first_without_recordings_and_model_runs(
    database: Database, service: App
) -> None:
    await store(database, call(1), call(2, label=Label.HUMAN, campaign="spring", tags=["vip"]))
    response = await service.client.get("/api/calls")
    assert sids(response) == [numbered_sid(2), numbered_sid(1)]
    whole = (await service.client.get(f"/api/calls/{numbered_sid(2)}")).json()
    assert {"recordings": [], "verdicts": [], "shadow_runs": []} | response.json()["calls"][0] == whole
    assert response.json()["next"] is None
    assert "link" not in response.headers


async def test_the_link_and_the_cursor_lead_through_all_pages(database: Database, service: App) -> None:
    await store(database, *(call(number, label=Label.HUMAN) for number in range(5)), call(9, label=Label.VOICEMAIL))
    by_link, by_cursor = [], []
    url, cursor = "/api/calls?label=human&limit=2", ""
    for page in range(3):
        response = await service.client.get(url)
        by_link += sids(response)
        by_cursor += sids(await service.client.get(f"/api/calls?label=human&limit=2&cursor={cursor}"))
        cursor = response.json()["next"]
        if page < 2:
            assert response.links["next"]["url"].startswith(f"{PUBLIC_URL}/api/calls?")
            parts = urlsplit(response.links["next"]["url"])
            url = f"{parts.path}?{parts.query}"
            # A new call does not shift the pages.
            await store(database, call(100 + page, label=Label.HUMAN))
    assert by_link == by_cursor == [numbered_sid(number) for number in (4, 3, 2, 1, 0)]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("label=human&label=undecided", [3, 1]),
        ("state=failed", [4]),
        ("reason=low_confidence", [3]),
        ("status=busy", [5]),
        ("campaign=spring&tag=vip", [2]),
        (f"q={numbered_sid(2)}", [2]),
        ("q=%2B15005550010", [5]),
        ("disagreement=yes", [1]),
        ("until=2026-11-22T10:02:00Z", [1]),
        ("reviewed=yes", []),
        ("label=", [5, 4, 3, 2, 1]),
    ],
)
async def test_the_filters_of_the_page_select_calls(
    query: str, expected: list[int], database: Database, service: App
) -> None:
    await store(
        database,
        call(1, label=Label.HUMAN, twilio_answered_by="machine_start"),
        call(2, label=Label.VOICEMAIL, campaign="spring", tags=["vip"]),
        call(3, label=Label.UNDECIDED),
        call(4, analysis_state="failed", reason="media_missing"),
        call(5, call_status="busy", to_number="+15005550010"),
    )
    assert sids(await service.client.get(f"/api/calls?{query}")) == [numbered_sid(number) for number in expected]


def test_every_filter_of_the_page_is_a_parameter() -> None:
    everything = CallFilter(
        search="x", labels=(Label.HUMAN,), reasons=(Reason.CONFIDENT,), states=(AnalysisState.JUDGED,),
        statuses=(CallStatus.BUSY,), last=timedelta(hours=1), since=BEGAN, until=BEGAN, campaign="x", tags=("x",),
        disagreement=True, low_confidence=True, reviewed=True,
    )  # fmt: skip
    assert {each["name"] for each in FILTER_PARAMETERS} == {
        pair.partition("=")[0] for pair in filter_query(everything).split("&")
    }


@pytest.mark.parametrize(
    ("query", "cure"),
    [
        ("label=robot", "use human, voicemail, undecided"),
        ("since=soon", "use for example 2026-11-28"),
        ("labels=human", "the parameter 'labels' is unknown: use q, label,"),
        ("older=x", "limit, cursor"),
        ("q=abc", "neither a CallSid"),
        ("limit=0", "use a number from 1 to 200"),
        ("limit=201", "use a number from 1 to 200"),
        ("limit=ten", "use a number from 1 to 200"),
        ("cursor=abc", "use `next` of a response"),
        ("cursor=%C3%A9", "use `next` of a response"),
    ],
)
async def test_a_wrong_parameter_is_refused_with_a_cure(query: str, cure: str, service: App) -> None:
    assert cure in detail(await service.client.get(f"/api/calls?{query}"))


async def test_numbers_are_masked_for_people_who_may_not_see_them(database: Database) -> None:
    service = open_app(database, api_keys=[], public_url=None)
    await store(database, call(1, to_number="+15005550010", from_number="+15005550006"))
    del service.client.headers["authorization"]
    shown: dict[bool, Any] = {}
    for sees_numbers in (True, False):
        name = f"ann {sees_numbers}"
        browser = await signed_in(database, name, Role.VIEWER, sees_numbers=sees_numbers)
        response = await service.client.get("/api/calls", headers=browser.headers)
        shown[sees_numbers] = [(row["from_number"], row["to_number"]) for row in response.json()["calls"]]
    assert shown == {True: [("+15005550006", "+15005550010")], False: [("+15•••06", "+15•••10")]}
    await service.client.aclose()


async def test_a_405_names_the_methods_of_all_routes_of_the_path(service: App) -> None:
    response = await service.client.put("/api/calls")
    assert response.status_code == 405
    assert response.json()["detail"] == "/api/calls does not accept PUT: use GET or HEAD or POST"
    assert response.headers["allow"] == "GET, HEAD, POST"
