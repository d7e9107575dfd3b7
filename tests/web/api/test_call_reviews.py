"""GET and POST /api/calls/{sid}/reviews, POST /api/calls/{sid}/analyse."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from amd_service.calls.tables import Annotation, Recording
from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Label, Role
from tests.support.app import App, open_app
from tests.support.call_rows import call, store
from tests.support.deliveries import claim, deliver, recording, recording_row, settle, verdict_rows
from tests.support.intake import ANSWERED, COMPLETED
from tests.support.people import add_key, signed_in
from tests.support.review_rows import heard_call, store_calls, stored_reviews
from tests.support.sids import CALL
from tests.support.verdicts import HUMAN, verdict

pytestmark = pytest.mark.anyio

SID = call(1).call_sid
REVIEWS = f"/api/calls/{SID}/reviews"


@pytest.fixture
async def service(database: Database) -> AsyncIterator[App]:
    opened = open_app(database, api_keys=[], public_url=None)
    opened.client.headers |= await add_key(database, "quality desk", AccessScope.REVIEW, AccessScope.READ)
    yield opened
    await opened.client.aclose()


def problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["detail"]


async def test_a_review_is_added_under_the_name_of_the_key(database: Database, service: App) -> None:
    await store_calls(database, heard_call(1, Label.VOICEMAIL))
    response = await service.client.post(REVIEWS, json={"answer": "human", "note": "says hello"})
    assert response.status_code == 201
    added: dict[str, Any] = response.json()
    (row,) = await stored_reviews(database)
    assert (row.reviewer, row.answer, row.note, row.probability) == ("quality desk", "human", "says hello", None)
    assert {name: added[name] for name in ("id", "call_sid", "reviewer", "answer", "note")} == {
        "id": row.id, "call_sid": SID, "reviewer": "quality desk", "answer": "human", "note": "says hello",
    }  # fmt: skip
    assert (await service.client.get(REVIEWS)).json() == {"reviews": [added]}
    assert (await service.client.get(f"/api/calls/{SID}")).json()["label"] == "voicemail"


async def test_a_person_reviews_under_the_own_name(database: Database, service: App) -> None:
    await store_calls(database, heard_call(1))
    browser = await signed_in(database, "ann", Role.REVIEWER)
    del service.client.headers["authorization"]
    response = await service.client.post(REVIEWS, json={"answer": "human"}, headers=browser.headers)
    assert response.json()["reviewer"] == "ann"


async def test_an_equal_answer_adds_no_row_and_a_correction_does(database: Database, service: App) -> None:
    await store_calls(database, heard_call(1))
    answers = ["human", "human", "voicemail", "human"]
    statuses = [(await service.client.post(REVIEWS, json={"answer": answer})).status_code for answer in answers]
    assert statuses == [201, 200, 201, 201]
    assert [row.answer for row in await stored_reviews(database)] == ["human", "voicemail", "human"]
    listed = (await service.client.get(REVIEWS)).json()["reviews"]
    assert [each["answer"] for each in listed] == ["human", "voicemail", "human"]


async def test_a_repeated_request_with_one_key_adds_one_review(database: Database, service: App) -> None:
    await store_calls(database, heard_call(1), heard_call(2))

    async def send(answer: str, key: str, path: str = REVIEWS) -> httpx2.Response:
        return await service.client.post(path, json={"answer": answer}, headers={"idempotency-key": key})

    responses = await asyncio.gather(*(send("human", "a") for _ in range(5)))
    assert sorted(response.status_code for response in responses) == [200, 200, 200, 200, 201]
    assert len({response.json()["id"] for response in responses}) == 1
    # The correction is not undone by a late repetition of the first request.
    assert (await send("voicemail", "b")).status_code == 201
    assert (await send("human", '"a"')).json() == responses[0].json()
    assert [row.answer for row in await stored_reviews(database)] == ["human", "voicemail"]
    for refused in (await send("other", "a"), await send("human", "a", f"/api/calls/{call(2).call_sid}/reviews")):
        status, detail = problem(refused)
        assert status == 422
        assert "use a new key for a new review" in detail
    assert problem(await send("human", ""))[0] == 400
    service.client.headers |= await add_key(database, "other desk", AccessScope.REVIEW)
    assert (await send("human", "a")).status_code == 201


async def test_a_call_without_a_verdict_cannot_be_reviewed(database: Database, service: App) -> None:
    assert problem(await service.client.post(REVIEWS, json={"answer": "human"}))[0] == 404
    assert problem(await service.client.get(REVIEWS))[0] == 404
    await store(database, call(1))
    assert problem(await service.client.post(REVIEWS, json={"answer": "human"})) == (
        409,
        "the call has no verdict yet, so there is nothing to review",
    )
    assert (await service.client.get(REVIEWS)).json() == {"reviews": []}


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"answer": "robot"}', 422, "answer"),
        (b"{}", 422, "answer"),
        (b'{"answer": "human", "reviewer": "eve"}', 422, "reviewer"),
        (b'{"answer": "human", "note": "%s"}' % (b"x" * 2001), 422, "note"),
        (b"human", 400, "JSON"),
    ],
)
async def test_a_wrong_body_is_refused(body: bytes, status: int, detail: str, database: Database, service: App) -> None:
    await store_calls(database, heard_call(1))
    response = await service.client.post(REVIEWS, content=body, headers={"content-type": "application/json"})
    found = problem(response)
    assert found[0] == status
    assert detail in found[1]
    assert await stored_reviews(database) == []


async def test_a_judged_call_is_analysed_again(database: Database, service: App) -> None:
    await deliver(database, ANSWERED, COMPLETED, recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN)
    response = await service.client.post(f"/api/calls/{CALL}/analyse")
    assert (response.status_code, response.json()) == (202, {"requeued": 1, "deleted": 0, "streams": 0})
    (job,) = await claim(database)
    assert await settle(database, job, verdict(Label.VOICEMAIL, human=0.2))
    assert [row.label for row in await verdict_rows(database)] == ["human", "voicemail"]


async def test_409_says_why_a_call_cannot_be_analysed_again(database: Database, service: App) -> None:
    path = f"/api/calls/{CALL}/analyse"
    assert problem(await service.client.post(path))[0] == 404
    await deliver(database, ANSWERED)
    assert problem(await service.client.post(path)) == (
        409,
        "nothing can be analysed again: the call has no finished recording",
    )
    await deliver(database, COMPLETED, recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN)
    async with database.transaction() as session:
        await session.execute(update(Recording).values(erased_at=func.now()))
    assert "the recording was deleted at Twilio" in problem(await service.client.post(path))[1]
    assert (await recording_row(database)).state == "done"


@pytest.mark.parametrize("annotates", [True, False])
async def test_a_review_is_queued_for_twilio_only_if_the_settings_say_so(database: Database, annotates: bool) -> None:
    await store_calls(database, heard_call(1))
    opened = open_app(database, annotate_calls=annotates)
    response = await opened.client.post(REVIEWS, json={"answer": "human"})
    await opened.client.aclose()
    assert response.status_code == 201
    async with database.transaction() as session:
        queued = (await session.scalars(select(Annotation.answered_by))).all()
    assert queued == (["human"] if annotates else [])
