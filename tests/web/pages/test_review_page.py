"""/review: blind until answered, one row for each answer."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from amd_service.database.pool import Database
from amd_service.domain import Label, Role
from amd_service.operations.review.request_recheck import request_recheck
from tests.support.app import PUBLIC_URL, App, open_app
from tests.support.call_rows import numbered_sid
from tests.support.people import signed_in
from tests.support.review_rows import heard_call, store_calls, stored_reviews

pytestmark = pytest.mark.anyio

HTMX = {"hx-request": "true", "accept": "text/html"}


@pytest.fixture
async def service(database: Database) -> AsyncIterator[App]:
    opened = open_app(database, review_sample=1.0, review_second_share=1.0)
    yield opened
    await opened.client.aclose()


def field(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found, page
    return found[1]


async def open_call(service: App, queue: str = "random", **headers: str) -> str:
    answer = await service.client.get(f"/review?queue={queue}", headers={"accept": "text/html", **headers})
    assert answer.status_code == 200
    return answer.text


async def give(service: App, page: str, answer: str, **changes: str) -> httpx2.Response:
    form = {"queue": field(page, "queue"), "call": field(page, "call"), "seen": field(page, "seen"), "note": ""}
    return await service.client.post("/review/answers", data=form | {"answer": answer} | changes, headers=HTMX)


def main_part(page: str) -> str:
    """The page without its list of queues and keys, whose names are words for verdicts."""
    page = page.partition("<main")[2]
    return page[page.index("<section") : page.index("</section>")]


@pytest.mark.parametrize("queue", ["random", "disagreement"])
async def test_an_unanswered_call_shows_no_verdict(service: App, database: Database, queue: str) -> None:
    labelled = heard_call(1, Label.HUMAN, twilio_answered_by="machine_end_beep", confidence=0.8765)
    await store_calls(database, labelled)
    answer = await service.client.get(f"/review?queue={queue}", headers={"accept": "text/html"})
    everything = answer.text + str(answer.headers)
    assert numbered_sid(1) in answer.text
    for secret in ("machine_end_beep", "0.87", "0.88", "confident", 'class="label'):
        assert secret not in everything
    # Both words are only names of answers.
    assert len(re.findall("human", main_part(answer.text), re.IGNORECASE)) == 2
    assert len(re.findall("voicemail", main_part(answer.text), re.IGNORECASE)) == 2


async def test_the_verdict_is_shown_after_the_answer_with_the_next_call(service: App, database: Database) -> None:
    await store_calls(database, *(heard_call(n, twilio_answered_by="machine_start") for n in (1, 2)))
    page = await open_call(service)
    answered = field(page, "call")
    shown = (await give(service, page, "voicemail")).text
    assert "machine_start" in shown
    assert '<span class="label human">human</span> with confidence 95.0 %' in shown
    assert field(shown, "call") != answered
    assert "1 of 2 left" in shown


async def test_an_answer_is_a_row_with_its_group_and_probability(service: App, database: Database) -> None:
    await store_calls(database, heard_call(1, Label.UNDECIDED))
    await give(service, await open_call(service, "undecided"), "screening", note=" who is calling? ")
    (review,) = await stored_reviews(database)
    assert (review.call_sid, review.reviewer, review.answer) == (numbered_sid(1), "AMD_API_KEYS", "screening")
    assert (review.note, review.stratum, review.probability) == ("who is calling?", "undecided", 1.0)


async def test_an_answer_about_a_suspicious_call_counts_for_no_rate(service: App, database: Database) -> None:
    assert "dataset build --send-to-review" in await open_call(service, "recheck")
    await store_calls(database, heard_call(1))
    await request_recheck(database, [numbered_sid(1)])
    page = await open_call(service, "recheck")
    assert "1 left" in page
    await give(service, page, "voicemail")
    (review,) = await stored_reviews(database)
    assert (review.answer, review.stratum, review.probability) == ("voicemail", None, None)
    assert numbered_sid(1) in await open_call(service, "random")


async def test_a_form_that_is_sent_twice_adds_one_row(service: App, database: Database) -> None:
    await store_calls(database, heard_call(1))
    page = await open_call(service)
    await give(service, page, "human")
    second = await give(service, page, "voicemail")
    assert "You had answered already" in second.text
    assert [review.answer for review in await stored_reviews(database)] == ["human"]


async def test_undo_opens_the_answered_call_and_adds_a_row(service: App, database: Database) -> None:
    await store_calls(database, heard_call(1))
    shown = (await give(service, await open_call(service), "human")).text
    undo = re.search(r'hx-get="([^"]+)"', shown)
    assert undo
    again = await service.client.get(undo[1].replace("&amp;", "&"), headers=HTMX)
    assert "Correct your answer: Human" in again.text
    await give(service, again.text, "voicemail")
    rows = await stored_reviews(database)
    assert [(row.answer, row.stratum, row.probability) for row in rows] == [
        ("human", "rest", 1.0),
        ("voicemail", "rest", 1.0),
    ]


async def test_a_skipped_call_comes_last_and_leaves_no_row(service: App, database: Database) -> None:
    await store_calls(database, heard_call(1), heard_call(2))
    page = await open_call(service)
    form = {"queue": "random", "call": field(page, "call"), "reason": "cannot_listen"}
    after = await service.client.post("/review/skips", data=form, headers=HTMX)
    assert field(after.text, "call") != field(page, "call")
    form["call"] = field(after.text, "call")
    last = await service.client.post("/review/skips", data=form, headers=HTMX)
    assert "you skipped them" in last.text
    assert await stored_reviews(database) == []


async def test_an_empty_queue_says_what_to_do(service: App) -> None:
    page = await open_call(service)
    assert "Nothing to review here" in page
    assert "AMD_REVIEW_SAMPLE" in page


@pytest.mark.parametrize("form", [{}, {"call": numbered_sid(1), "answer": "alien", "seen": "0"}, {"seen": "-1"}])
async def test_an_incomplete_form_is_refused(service: App, form: dict[str, str]) -> None:
    answer = await service.client.post("/review/answers", data=form, headers=HTMX)
    assert answer.status_code == 422


async def test_an_answer_about_a_call_without_a_verdict_is_refused(service: App) -> None:
    form = {"call": numbered_sid(7), "answer": "human", "seen": "0", "queue": "random"}
    answer = await service.client.post("/review/answers", data=form, headers=HTMX)
    assert answer.status_code == 404


async def test_two_people_get_different_calls_and_a_viewer_gets_none(database: Database) -> None:
    service = open_app(database, api_keys=[], review_sample=1.0)
    sessions = {}
    for name, role in (("ann", Role.REVIEWER), ("bob", Role.REVIEWER), ("eve", Role.VIEWER)):
        browser = await signed_in(database, name, role, public_url=PUBLIC_URL)
        sessions[name] = browser.headers
    del service.client.headers["authorization"]
    await store_calls(database, heard_call(1), heard_call(2))
    anns, bobs = [await open_call(service, **sessions[name]) for name in ("ann", "bob")]
    assert {field(anns, "call"), field(bobs, "call")} == {numbered_sid(1), numbered_sid(2)}
    refused = await service.client.get("/review", headers={"accept": "text/html", **sessions["eve"]})
    assert refused.status_code == 403
    assert (await service.client.get("/review/report", headers=sessions["eve"])).status_code == 200
    await service.client.aclose()


async def test_the_report_shows_rates_and_changes_with_a_review(service: App, database: Database) -> None:
    calls = [heard_call(n, Label.VOICEMAIL, campaign="spring") for n in range(1, 3)]
    await store_calls(database, *calls, heard_call(3, Label.HUMAN))
    report = "/review/report?last=365d"
    assert "No drawn call of this selection is reviewed yet" in (await service.client.get(report)).text
    for _ in range(3):
        await give(service, await open_call(service), "human")
    page = (await service.client.get(report)).text
    assert "66.7 %" in page
    assert "spring" in page
    assert "not enough" in page


async def test_a_wrong_period_of_the_report_is_refused(service: App) -> None:
    answer = await service.client.get("/review/report?last=soon")
    assert answer.status_code == 400
