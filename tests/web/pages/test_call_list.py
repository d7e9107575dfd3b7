"""GET /calls: the list of calls."""

import re
from typing import Any

import httpx2
import pytest

from amd_service.calls.call_pages import PAGE_SIZE
from amd_service.calls.tables import Review
from amd_service.database.pool import Database
from amd_service.domain import ALL_SCOPES, AccessScope, Label, Role
from amd_service.operations import credentials
from tests.support.app import App, open_app
from tests.support.call_rows import call, numbered_sid, store
from tests.support.signed_in import sign_in

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html"}


async def get(service: App, path: str, **headers: str) -> httpx2.Response:
    sent = BROWSER | {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.get(path, headers=sent)


def shown(response: httpx2.Response) -> list[int]:
    """The numbers of the calls in the table, in order."""
    assert response.status_code == 200, response.text
    return [int(sid, 16) for sid in re.findall(r'<tr id="CA([0-9a-f]{32})"', response.text)]


def link(response: httpx2.Response, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', response.text)
    return None if found is None else found[1].replace("&amp;", "&")


async def store_calls(database: Database, *numbers: int, **fields: Any) -> None:
    await store(database, *(call(number, **fields) for number in numbers))


async def test_the_newest_calls_come_first(service: App, database: Database) -> None:
    await store_calls(database, 1, 3, 2)
    response = await get(service, "/calls")
    assert shown(response) == [3, 2, 1]
    assert f'href="/calls/{numbered_sid(3)}"' in response.text
    assert link(response, "next") is None
    assert link(response, "prev") is None


async def test_links_lead_through_the_pages_in_both_directions(service: App, database: Database) -> None:
    count = 2 * PAGE_SIZE + 10
    # Many calls with one time: the CallSid decides their order.
    await store(
        database,
        *(call(n, created_at=call(0).created_at) for n in range(PAGE_SIZE + 5)),
        *(call(n) for n in range(PAGE_SIZE + 5, count)),
    )
    pages, url = [], "/calls"
    while url:
        response = await get(service, url)
        pages.append(shown(response))
        last, url = url, link(response, "next") or ""
    assert [len(page) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 10]
    assert [number for page in pages for number in page] == sorted(range(count), reverse=True)
    response = await get(service, link(await get(service, last), "prev") or "")
    assert shown(response) == pages[1]
    first = await get(service, link(response, "prev") or "")
    assert shown(first) == pages[0]
    assert link(first, "prev") is None


async def test_new_calls_do_not_shift_an_older_page(service: App, database: Database) -> None:
    await store_calls(database, *range(PAGE_SIZE + 2))
    older = link(await get(service, "/calls"), "next") or ""
    before = shown(await get(service, older))
    await store_calls(database, 900, 901)
    assert shown(await get(service, older)) == before == [1, 0]
    newer = await get(service, link(await get(service, older), "prev") or "")
    assert shown(newer) == list(range(PAGE_SIZE + 1, 1, -1))
    newest = await get(service, link(newer, "prev") or "")
    assert shown(newest)[:3] == [901, 900, PAGE_SIZE + 1], "a page that would not be full is the first page"


async def test_a_filter_stays_in_the_links_of_the_pages(service: App, database: Database) -> None:
    await store_calls(database, *range(PAGE_SIZE + 1), campaign="spring")
    await store_calls(database, 800, campaign="autumn")
    response = await get(service, "/calls?campaign=spring")
    assert shown(response) == list(range(PAGE_SIZE, 0, -1))
    assert shown(await get(service, link(response, "next") or "")) == [0]


async def test_another_spelling_of_a_filter_is_redirected_to_its_one_url(service: App) -> None:
    response = await get(service, "/calls?label=voicemail&q=&label=human&last=24h")
    assert response.status_code == 303
    assert response.headers["location"] == "/calls?label=human&label=voicemail&last=1d"
    assert (await get(service, response.headers["location"])).status_code == 200


async def test_htmx_gets_the_page_at_once_and_the_url_to_show(service: App, database: Database) -> None:
    await store_calls(database, 1, label=Label.HUMAN)
    response = await get(service, "/calls?q=&label=human", hx_request="true")
    assert shown(response) == [1]
    assert response.headers["hx-push-url"] == "/calls?label=human"


async def test_the_form_and_the_links_above_the_list_say_which_filters_are_in_use(service: App) -> None:
    text = (await get(service, "/calls?label=human&campaign=spring&reviewed=no")).text
    assert re.search(r'name="label" value="human" checked', text)
    assert 'value="spring"' in text
    assert "More filters (2 in use)" in text
    assert 'href="/calls?campaign=spring&amp;reviewed=no" aria-label="Remove the filter human"' in text
    assert "More filters<" in (await get(service, "/calls?label=human")).text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/calls?label=robot", "use human, voicemail, undecided"),
        ("/calls?since=soon", "use for example 2026-11-28"),
        ("/calls?older=abc", "begin at /calls"),
        ("/calls?newer=2026-11-28T10:00:00Z~%27", "begin at /calls"),
    ],
)
async def test_a_value_that_cannot_be_read_is_refused_with_a_cure(service: App, path: str, words: str) -> None:
    response = await get(service, path)
    assert response.status_code == 400
    assert words in response.text


async def test_a_search_for_something_else_says_what_can_be_searched(service: App, database: Database) -> None:
    await store_calls(database, 1)
    response = await get(service, "/calls?q=hello")
    assert "neither a CallSid" in response.text
    assert shown(response) == []


async def test_an_empty_list_says_why(service: App, database: Database) -> None:
    assert "No calls yet" in (await get(service, "/calls")).text
    await store_calls(database, 1)
    assert "No call matches these filters" in (await get(service, "/calls?label=human")).text


@pytest.mark.parametrize(("role", "leads_to_try_it"), [(Role.VIEWER, False), (Role.REVIEWER, True)])
async def test_an_empty_list_leads_only_to_pages_that_its_reader_may_open(
    service: App, role: Role, leads_to_try_it: bool
) -> None:
    await sign_in(service, role)
    assert ('href="/try">try it with a recording' in (await get(service, "/calls")).text) is leads_to_try_it


async def test_text_from_outside_is_escaped(service: App, database: Database) -> None:
    await store_calls(database, 1, campaign="<script>x</script>", to_number='"><b>')
    text = (await get(service, "/calls?q=<i>")).text + (await get(service, "/calls")).text
    assert "<script>x" not in text
    assert "<b>" not in text
    assert "<i>" not in text


async def test_a_verdict_that_twilio_or_a_reviewer_contradicts_is_marked(service: App, database: Database) -> None:
    await store(database, call(1, label=Label.HUMAN, twilio_answered_by="machine_start"), call(2, label=Label.HUMAN))
    await store(database, Review(call_sid=numbered_sid(2), reviewer="ada", answer="voicemail"))
    text = (await get(service, "/calls")).text
    assert text.count(">disagrees</span>") == 1
    assert (
        text.count(">wrong</span>") == 2
    )  # a phone shows it beside the verdict, other screens in the column of reviews


@pytest.mark.parametrize(("sees_numbers", "number"), [(True, "+15005550006"), (False, "+15•••06")])
async def test_numbers_are_masked_for_people_who_may_not_see_them(
    service: App, database: Database, sees_numbers: bool, number: str
) -> None:
    await store_calls(database, 1, to_number="+15005550006")
    await sign_in(service, Role.VIEWER, sees_numbers=sees_numbers)
    text = (await get(service, "/calls")).text
    assert f">{number}<" in text
    assert ("+15005550006" in text) is sees_numbers


async def test_the_list_needs_read_access(database: Database) -> None:
    service = open_app(database)
    key = await credentials.add_api_key(database, "uploader", ALL_SCOPES - {AccessScope.READ})
    for path in ("/calls", "/calls.csv"):
        assert (await get(service, path, authorization=f"Bearer {key}")).status_code == 403
    await service.client.aclose()


async def test_an_outage_of_the_database_is_a_page_with_status_503(closed_database: Database) -> None:
    service = open_app(closed_database)
    response = await get(service, "/calls")
    assert response.status_code == 503
    assert "choose a shorter period" in response.text
    assert int(response.headers["retry-after"]) > 0
    await service.client.aclose()
