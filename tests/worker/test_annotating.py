"""Reviews are written to Twilio as Call Annotations: once, without notes, and also after failures."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from amd_service.calls import annotations
from amd_service.calls.tables import Annotation
from amd_service.database.pool import Database
from amd_service.domain import AnnotationJob, CallSid, ReviewAnswer
from amd_service.operations.review.answer import GivenAnswer, record_answer
from amd_service.runtime import open_runtime
from amd_service.runtime.workers import build_annotation_worker
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from amd_service.worker.queue_loop import Worker
from tests.support.app import make_settings
from tests.support.call_rows import call
from tests.support.review_rows import heard_call, store_calls, stored_reviews
from tests.support.sampling import make_plan
from tests.support.sids import ACCOUNT
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SID = CallSid(call(1).call_sid)
HUMAN, VOICEMAIL, OTHER = ReviewAnswer.HUMAN, ReviewAnswer.VOICEMAIL, ReviewAnswer.OTHER
PLAN = make_plan(make_settings())
PRIVATE_NOTE = "the called party said her name"


@dataclass(frozen=True, slots=True)
class Annotating:
    """A database with a judged call, a worker, and a simulated Twilio that has the call."""

    database: Database
    twilio: SimulatedTwilio
    worker: Worker[AnnotationJob]
    metrics: Metrics

    @property
    def sent(self) -> list[dict[str, str]]:
        """The annotations that Twilio has stored."""
        return [dict(form) for form in self.twilio.rest.calls[SID].annotations]

    async def review(self, answer: ReviewAnswer, reviewer: str = "ann") -> None:
        given = GivenAnswer(SID, reviewer, answer, PRIVATE_NOTE, seen=None, from_queue=False)
        assert await record_answer(self.database, PLAN, given, annotates=True) is not None

    async def row(self) -> Annotation:
        async with self.database.transaction() as session:
            return (await session.scalars(select(Annotation))).one()

    async def make_due(self, **values: object) -> None:
        async with self.database.transaction() as session:
            at = func.now() - timedelta(milliseconds=1)
            await session.execute(update(Annotation).values(available_at=at, **values))

    def refuse_once(self, status: int, code: int = 20001, retry_after: str = "") -> None:
        body = json.dumps({"code": code, "message": "no"}).encode()
        self.twilio.rest.scripted.append(ScriptedResponse(status, body, {"retry-after": retry_after}))

    def counted(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value("amd_annotations_total", {"outcome": outcome})


@asynccontextmanager
async def annotating_twilio(database: Database) -> AsyncIterator[tuple[SimulatedTwilio, Settings]]:
    await store_calls(database, heard_call(1))
    known = make_settings().accounts.values()
    async with watched_simulated_twilio(*known) as twilio:
        twilio.rest.add(SimulatedCall(account_sid=ACCOUNT, sid=SID, status="completed"))
        yield twilio, make_settings(twilio_api_url=twilio.url, annotate_calls=True, database_url=database.url)


@pytest.fixture
async def annotating(database: Database) -> AsyncIterator[Annotating]:
    async with annotating_twilio(database) as (twilio, settings), http_client(settings) as client:
        metrics = Metrics()
        worker = build_annotation_worker(settings, database, RestClient(client, settings), metrics)
        yield Annotating(database, twilio, worker, metrics)


@pytest.mark.parametrize(("answer", "sent"), [(HUMAN, "human"), (VOICEMAIL, "machine")])
async def test_a_review_is_written_to_twilio_without_its_note(
    annotating: Annotating, answer: ReviewAnswer, sent: str
) -> None:
    await annotating.review(answer)
    assert await annotating.worker.drain() == 1
    assert annotating.sent == [{"AnsweredBy": sent}]
    assert PRIVATE_NOTE not in repr(annotating.twilio.rest.requests)
    row = await annotating.row()
    assert (row.state, row.attempts, row.last_error, annotating.counted("done")) == ("done", 1, None, 1)


@pytest.mark.parametrize("answer", [OTHER, ReviewAnswer.SCREENING, ReviewAnswer.CANNOT_TELL])
async def test_an_answer_without_a_value_at_twilio_only_withdraws_an_earlier_one(
    annotating: Annotating, answer: ReviewAnswer
) -> None:
    await annotating.review(answer)
    assert await annotating.worker.drain() == 0
    await annotating.review(HUMAN)
    await annotating.worker.drain()
    await annotating.review(answer)
    await annotating.worker.drain()
    assert annotating.sent == [{"AnsweredBy": "human"}, {"AnsweredBy": "unknown_answered_by"}]


async def test_a_repeated_answer_is_not_sent_again_and_a_correction_is(annotating: Annotating) -> None:
    for answer, reviewer in ((HUMAN, "ann"), (HUMAN, "ann"), (HUMAN, "ben"), (VOICEMAIL, "ben")):
        await annotating.review(answer, reviewer)
        await annotating.worker.drain()
    assert annotating.sent == [{"AnsweredBy": "human"}, {"AnsweredBy": "machine"}]


async def test_a_correction_during_a_request_is_sent_after_it(annotating: Annotating) -> None:
    corrected = False

    async def correct() -> None:
        nonlocal corrected
        if not corrected:
            corrected = True
            await annotating.review(VOICEMAIL)
            assert (await annotating.row()).state == "running"

    annotating.twilio.rest.before = correct
    await annotating.review(HUMAN)
    assert await annotating.worker.drain() == 2
    assert annotating.sent == [{"AnsweredBy": "human"}, {"AnsweredBy": "machine"}]
    assert (await annotating.row()).state == "done"


async def test_a_correction_during_a_failing_request_is_sent_at_once(annotating: Annotating) -> None:
    async def correct() -> None:
        annotating.twilio.rest.before = None
        await annotating.review(VOICEMAIL)

    annotating.twilio.rest.before = correct
    annotating.refuse_once(400)
    await annotating.review(HUMAN)
    assert await annotating.worker.drain() == 2
    assert annotating.sent == [{"AnsweredBy": "machine"}]


@pytest.mark.parametrize("status", [429, 500, 503, 401, 404])
async def test_a_failure_that_may_pass_is_retried(annotating: Annotating, status: int) -> None:
    annotating.refuse_once(status, 20404 if status == 404 else 20001)
    await annotating.review(HUMAN)
    assert await annotating.worker.drain() == 1
    row = await annotating.row()
    assert (row.state, str(status) in (row.last_error or ""), annotating.counted("failed")) == ("queued", True, 1)
    await annotating.make_due()
    assert await annotating.worker.drain() == 1
    assert annotating.sent == [{"AnsweredBy": "human"}]


async def test_twilios_retry_after_is_respected(annotating: Annotating) -> None:
    annotating.refuse_once(429, retry_after="1800")
    await annotating.review(HUMAN)
    await annotating.worker.drain()
    async with annotating.database.transaction() as session:
        due_s = await annotations.seconds_until_due(session)
    assert due_s is not None
    assert due_s > 1700


async def test_a_lost_response_is_retried_because_a_second_request_changes_nothing(annotating: Annotating) -> None:
    annotating.twilio.rest.scripted.append(ScriptedResponse(500, carried_out=True))
    await annotating.review(HUMAN)
    await annotating.worker.drain()
    await annotating.make_due()
    await annotating.worker.drain()
    assert annotating.sent == [{"AnsweredBy": "human"}] * 2
    assert (await annotating.row()).state == "done"


async def test_a_refusal_is_recorded_and_not_repeated_until_the_next_answer(annotating: Annotating) -> None:
    annotating.refuse_once(400, 20001)
    await annotating.review(HUMAN)
    await annotating.worker.drain()
    row = await annotating.row()
    assert (row.state, annotating.counted("dead")) == ("dead", 1)
    assert row.last_error == "Twilio refused (400): no (Twilio's error 20001)"
    assert await annotating.worker.drain() == 0
    await annotating.review(HUMAN, "ben")
    await annotating.worker.drain()
    assert annotating.sent == [{"AnsweredBy": "human"}]


async def test_a_call_that_twilio_does_not_know_is_given_up_after_an_hour(annotating: Annotating) -> None:
    del annotating.twilio.rest.calls[SID]
    await annotating.review(HUMAN)
    await annotating.worker.drain()
    assert (await annotating.row()).state == "queued"
    await annotating.make_due(retry_until=func.now() + timedelta(days=3) - timedelta(minutes=61))
    await annotating.worker.drain()
    assert (await annotating.row()).state == "dead"


async def test_retries_end_after_three_days(annotating: Annotating) -> None:
    annotating.refuse_once(503)
    await annotating.review(HUMAN)
    await annotating.make_due(retry_until=func.now() + timedelta(seconds=1))
    await annotating.worker.drain()
    assert (await annotating.row()).state == "dead"


async def test_without_the_setting_a_review_leaves_no_annotation(annotating: Annotating) -> None:
    given = GivenAnswer(SID, "ann", HUMAN, "", seen=None, from_queue=False)
    await record_answer(annotating.database, PLAN, given)
    assert len(await stored_reviews(annotating.database)) == 1
    assert await annotating.worker.drain() == 0


async def test_another_worker_sends_the_annotation_of_a_killed_one(annotating: Annotating) -> None:
    await annotating.review(HUMAN)
    async with annotating.database.transaction() as session:
        (lost,) = await annotations.claim(session, worker="killed", limit=1, lease_s=60)
    assert await annotating.worker.drain() == 0
    await annotating.make_due()
    assert await annotating.worker.drain() == 1
    async with annotating.database.transaction() as session:
        assert not await annotations.give_up(session, lost, error="late")
    assert annotating.sent == [{"AnsweredBy": "human"}]


async def test_a_running_process_sends_an_annotation_as_soon_as_the_review_is_stored(database: Database) -> None:
    async with (
        annotating_twilio(database) as (twilio, settings),
        open_runtime(settings, with_worker=True, with_model=False),
    ):
        given = GivenAnswer(SID, "ann", VOICEMAIL, "", seen=None, from_queue=False)
        await record_answer(database, PLAN, given, annotates=True)

        async def is_sent() -> bool:
            return twilio.rest.calls[SID].annotations == [[("AnsweredBy", "machine")]]

        await until(is_sent)
