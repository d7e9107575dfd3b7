"""POST /calls/views: views are saved for everybody, by reviewers and admins."""

import re
from typing import Any

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.domain import Role
from tests.support.app import App, open_app
from tests.support.signed_in import sign_in

pytestmark = pytest.mark.anyio


async def post(service: App, **fields: Any) -> httpx2.Response:
    return await service.client.post("/calls/views", data=fields, headers={"accept": "text/html"})


async def views(service: App) -> dict[str, str]:
    """The names of the views that the page shows, with their queries."""
    page = (await service.client.get("/calls", headers={"accept": "text/html"})).text
    navigation = page.partition('aria-label="Views"')[2].partition("</nav>")[0]
    links = re.findall(r'href="/calls\?([^"]*)"[^>]*>([^<]*)<', navigation)
    return {name: query.replace("&amp;", "&") for query, name in links}


async def view_id(service: App, name: str) -> str:
    page = (await service.client.get("/calls", headers={"accept": "text/html"})).text
    found = re.search(rf'id="view-(\d+)" name="name" value="{name}"', page)
    assert found is not None
    return found[1]


async def test_a_saved_view_is_a_link_for_everybody(service: App, database: Database) -> None:
    saved = await post(service, action="save", name=" Spring  campaign ", query="label=human&campaign=spring")
    assert saved.status_code == 303
    assert saved.headers["location"] == "/calls?label=human&campaign=spring"
    other = open_app(database)
    await sign_in(other, Role.VIEWER)
    assert await views(other) == {"Spring campaign": "label=human&campaign=spring"}
    page = await other.client.get("/calls?label=human&campaign=spring", headers={"accept": "text/html"})
    assert re.search(r'aria-current="page">Spring campaign<', page.text)
    assert 'action="/calls/views"' not in page.text, "a viewer cannot change views"
    await other.client.aclose()


async def test_a_view_is_saved_in_its_one_spelling(service: App) -> None:
    await post(service, action="save", name="Day", query="last=24h&label=voicemail&label=human&q=")
    assert await views(service) == {"Day": "label=human&label=voicemail&last=1d"}


async def test_a_view_can_be_renamed_replaced_and_deleted(service: App) -> None:
    await post(service, action="save", name="Old", query="label=human")
    number = await view_id(service, "Old")
    renamed = await post(service, action="rename", id=number, name="New", query="")
    assert renamed.headers["location"] == "/calls?label=human"
    await post(service, action="replace", id=number, query="label=voicemail")
    assert await views(service) == {"New": "label=voicemail"}
    deleted = await post(service, action="delete", id=number, query="last=7d")
    assert deleted.headers["location"] == "/calls?last=7d"
    assert await views(service) == {}
    assert (await post(service, action="replace", id=number, query="last=7d")).status_code == 404


async def test_a_name_is_used_once(service: App) -> None:
    await post(service, action="save", name="One", query="label=human")
    await post(service, action="save", name="Two", query="label=voicemail")
    again = await post(service, action="save", name="One", query="last=7d")
    assert again.status_code == 409
    assert "choose another name" in again.text
    renamed = await post(service, action="rename", id=await view_id(service, "Two"), name="One", query="")
    assert renamed.status_code == 409
    assert await views(service) == {"One": "label=human", "Two": "label=voicemail"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"action": "save", "name": "", "query": "label=human"}, "1 to 60"),
        ({"action": "save", "name": "x" * 61, "query": "label=human"}, "1 to 60"),
        ({"action": "save", "name": "x", "query": "q=%2B15005550006"}, "remove the search"),
        ({"action": "save", "name": "x", "query": "label=robot"}, "use human, voicemail"),
        ({"action": "rename", "id": "x", "name": "x"}, "number of a view"),
        ({"action": "explode"}, "use save, replace, rename or delete"),
        ({}, "use save, replace, rename or delete"),
    ],
)
async def test_what_cannot_be_saved_is_refused_with_a_cure(service: App, fields: dict[str, str], words: str) -> None:
    response = await post(service, **fields)
    assert response.status_code == 400
    assert words in response.text
    assert await views(service) == {}


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 303), (Role.ADMIN, 303)])
async def test_reviewers_and_admins_change_views(service: App, role: Role, status: int) -> None:
    token = await sign_in(service, role)
    response = await post(service, action="save", name="x", query="label=human", csrf_token=token)
    assert response.status_code == status
    assert await views(service) == ({"x": "label=human"} if status == 303 else {})


async def test_a_form_without_the_token_of_the_session_is_refused(service: App) -> None:
    await sign_in(service, Role.ADMIN)
    assert (await post(service, action="save", name="x", query="label=human")).status_code == 403
    assert (await post(service, action="save", name="x", query="label=human", csrf_token="0" * 64)).status_code == 403
    assert await views(service) == {}
