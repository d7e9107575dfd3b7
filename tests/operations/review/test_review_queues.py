"""Queues hand out the sample in its order. Answers of drawn calls remove them, and answers of chosen calls do not."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import update

from amd_service.calls.call_filter import CallFilter
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import Label, ReviewAnswer, ReviewQueue
from amd_service.operations.review.answer import GivenAnswer, RecordedAnswer, record_answer
from amd_service.operations.review.error_report import ErrorReport, make_report
from amd_service.operations.review.request_recheck import request_recheck
from amd_service.operations.review.review_queues import HOLD_S, OpenCalls, count_queues, next_call
from tests.support.app import make_settings
from tests.support.call_rows import numbered_sid
from tests.support.review_rows import heard_call, store_calls, stored_reviews
from tests.support.sampling import make_plan, make_rules

pytestmark = pytest.mark.anyio

EVERYTHING = make_settings(review_sample=1.0, review_second_share=1.0)
PLAN, RULES = make_plan(EVERYTHING), make_rules(EVERYTHING)


async def served(database: Database, reviewer: str, plan: SamplingPlan = PLAN, queue: str = "random") -> Sequence[str]:
    """The calls of a queue in the order in which a person gets them without answering."""
    open_calls, found = OpenCalls(), []
    while task := await next_call(database, plan, open_calls, ReviewQueue(queue), reviewer):
        found.append(task.call.call_sid)
        open_calls.skip(task.call.call_sid, reviewer)
    return found


async def answer(
    database: Database,
    number: int,
    answer: str,
    *,
    by: str = "ann",
    seen: int = 0,
    from_queue: bool = True,
    plan: SamplingPlan = PLAN,
) -> RecordedAnswer:
    given = GivenAnswer(numbered_sid(number), by, ReviewAnswer(answer), "", seen=seen, from_queue=from_queue)
    recorded = await record_answer(database, plan, given)
    assert recorded is not None
    return recorded


async def report(database: Database, plan: SamplingPlan = PLAN) -> ErrorReport:
    return await make_report(database, CallFilter(), RULES, plan)


async def test_a_smaller_sample_is_the_beginning_of_a_larger_one(database: Database) -> None:
    await store_calls(database, *(heard_call(number) for number in range(40)))
    everything = await served(database, "ann")
    part = make_plan(make_settings(review_sample=0.3))
    drawn = await served(database, "ann", part)
    assert len(everything) == 40
    assert 4 < len(drawn) < 20
    assert drawn == everything[: len(drawn)]
    assert await served(database, "ann", make_plan(make_settings(review_sample=0))) == []


async def test_only_calls_that_can_be_heard_are_served(database: Database) -> None:
    await store_calls(database, heard_call(1), heard_call(2, recorded=False), heard_call(3, Label.UNDECIDED))
    assert set(await served(database, "ann")) == {numbered_sid(1), numbered_sid(3)}
    assert await served(database, "ann", queue="undecided") == [numbered_sid(3)]


async def test_an_answer_about_a_chosen_call_counts_for_no_rate_and_leaves_the_call_in_its_queue(
    database: Database,
) -> None:
    await store_calls(database, heard_call(1, Label.VOICEMAIL))
    await answer(database, 1, "human", from_queue=False)
    assert (await report(database)).total.reviews == 0
    assert await served(database, "ann") == [numbered_sid(1)]
    (chosen,) = await stored_reviews(database)
    assert (chosen.stratum, chosen.probability) == (None, None)
    await answer(database, 1, "human", seen=chosen.id)
    assert (await report(database)).total.rates.humans_called_voicemail.rate == 1
    assert await served(database, "ann") == []


async def test_a_call_outside_the_sample_has_no_probability(database: Database) -> None:
    await store_calls(database, heard_call(1))
    nothing = make_plan(make_settings(review_sample=0, review_difficult=0))
    recorded = await answer(database, 1, "human", plan=nothing)
    assert recorded.review.probability is None


async def test_a_correction_counts_and_keeps_its_probability(database: Database) -> None:
    await store_calls(database, heard_call(1, Label.VOICEMAIL))
    first = await answer(database, 1, "voicemail")
    await answer(database, 1, "human", seen=first.review.id, from_queue=False)
    assert [review.probability for review in await stored_reviews(database)] == [1.0, 1.0]
    found = await report(database)
    assert found.answers == {ReviewAnswer.HUMAN: 1}
    assert found.total.rates.humans_called_voicemail.rate == 1


async def test_a_double_click_adds_one_row(database: Database) -> None:
    await store_calls(database, heard_call(1))
    results = await asyncio.gather(*(answer(database, 1, "human") for _ in range(4)))
    assert sorted(result.is_new for result in results) == [False, False, False, True]
    assert len(await stored_reviews(database)) == 1


async def test_the_first_reviewer_counts_and_the_second_measures_agreement(database: Database) -> None:
    await store_calls(database, heard_call(1, Label.VOICEMAIL))
    await answer(database, 1, "human", by="ann")
    assert await served(database, "ann", queue="second") == []
    assert await served(database, "bob", queue="second") == [numbered_sid(1)]
    await answer(database, 1, "voicemail", by="bob")
    found = await report(database)
    assert (found.agreement.calls, found.agreement.agreed) == (1, 0)
    assert found.answers == {ReviewAnswer.HUMAN: 1}
    assert await served(database, "eve", queue="second") == []


async def test_a_second_opinion_counts_also_if_the_call_is_outside_the_present_sample(database: Database) -> None:
    await store_calls(database, heard_call(1, Label.VOICEMAIL))
    await answer(database, 1, "human", by="ann")
    smaller = make_plan(make_settings(review_sample=0, review_difficult=0, review_second_share=1.0))
    assert await served(database, "bob", smaller, "second") == [numbered_sid(1)]
    recorded = await answer(database, 1, "human", by="bob", plan=smaller)
    assert recorded.review.probability == 1.0
    assert await served(database, "bob", smaller, "second") == []
    assert (await report(database)).agreement.calls == 1


async def test_a_call_that_moves_to_the_other_calls_counts_only_if_the_random_sample_contains_it(
    database: Database,
) -> None:
    plan = make_plan(make_settings(review_sample=0.3, review_difficult=1.0))
    await store_calls(database, *(heard_call(number, Label.UNDECIDED) for number in range(20)))
    sample = await served(database, "ann", plan)
    for number in range(20):
        await answer(database, number, "human", plan=plan)
    assert (await report(database, plan)).total.reviews == 20
    async with database.transaction() as session:
        await session.execute(update(CallLog).values(label=Label.HUMAN, reason="confident", confidence=0.95))
    assert 0 < len(sample) < 15
    assert (await report(database, plan)).total.reviews == len(sample)


async def test_two_people_get_different_calls_until_one_has_left(database: Database) -> None:
    await store_calls(database, heard_call(1))
    now = [0.0]
    open_calls = OpenCalls(clock=lambda: now[0])
    first = await next_call(database, PLAN, open_calls, ReviewQueue.RANDOM, "ann")
    again = await next_call(database, PLAN, open_calls, ReviewQueue.RANDOM, "ann")
    assert first is not None
    assert again is not None
    assert first.call.call_sid == again.call.call_sid
    assert await next_call(database, PLAN, open_calls, ReviewQueue.RANDOM, "bob") is None
    now[0] = HOLD_S + 1
    assert await next_call(database, PLAN, open_calls, ReviewQueue.RANDOM, "bob") is not None


async def test_many_people_who_ask_at_once_get_different_calls(database: Database) -> None:
    await store_calls(database, *(heard_call(number) for number in range(5)))
    open_calls = OpenCalls()
    asked = (next_call(database, PLAN, open_calls, ReviewQueue.RANDOM, f"person {n}") for n in range(5))
    tasks = await asyncio.gather(*asked)
    assert len({task.call.call_sid for task in tasks if task}) == 5


async def test_the_queues_are_counted(database: Database) -> None:
    undecided, disagreement = heard_call(1, Label.UNDECIDED), heard_call(2, twilio_answered_by="machine_start")
    await store_calls(database, undecided, disagreement, heard_call(3, confidence=0.75), heard_call(4))
    await answer(database, 4, "human", by="bob")
    counts = await count_queues(database, PLAN, ReviewQueue.RANDOM, "ann")
    assert counts.waiting == {
        ReviewQueue.RANDOM: 3,
        ReviewQueue.DISAGREEMENT: 1,
        ReviewQueue.UNDECIDED: 1,
        ReviewQueue.LOW_CONFIDENCE: 1,
        ReviewQueue.SECOND: 1,
        ReviewQueue.RECHECK: 0,
    }
    assert counts.reviewed == 1


async def test_a_suspicious_call_waits_for_a_person_who_has_not_answered_it(database: Database) -> None:
    await store_calls(database, *(heard_call(number) for number in range(4)), heard_call(9, recorded=False))
    await answer(database, 1, "voicemail", by="ann")
    sids = [numbered_sid(number) for number in (1, 2, 9, 77)]
    assert await request_recheck(database, sids) == 3  # the call 77 is unknown
    assert await request_recheck(database, sids) == 0
    assert set(await served(database, "ann", queue="recheck")) == {numbered_sid(2)}
    assert set(await served(database, "bob", queue="recheck")) == {numbered_sid(1), numbered_sid(2)}
    counts = await count_queues(database, PLAN, ReviewQueue.RECHECK, "bob")
    assert (counts.waiting[ReviewQueue.RECHECK], counts.reviewed) == (2, 0)
    await answer(database, 1, "human", by="bob", from_queue=False)
    assert await served(database, "cleo", queue="recheck") == [numbered_sid(2)]


async def test_checking_calls_again_changes_no_error_rate(database: Database) -> None:
    await store_calls(database, *(heard_call(number) for number in range(30)))
    for number in range(30):
        await answer(database, number, "voicemail" if number % 5 == 0 else "human", by="ann")
    before = await report(database)
    await request_recheck(database, [numbered_sid(number) for number in range(0, 30, 5)])
    for number in range(0, 30, 5):
        await answer(database, number, "human", by="bob", from_queue=False)
    assert await report(database) == before
    assert {row.probability for row in await stored_reviews(database) if row.reviewer == "bob"} == {None}
