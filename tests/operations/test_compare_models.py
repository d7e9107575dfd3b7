"""A shadow model is compared with the verdicts of the same calls, and with reviews."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from amd_service.calls.judged_again import requeue_calls
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.shadow_comparison import CallPeriod
from amd_service.calls.strata import LowConfidence
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import Label, ReviewAnswer, Stratum
from amd_service.errors import NothingToCompare
from amd_service.operations.compare_models import ModelComparison, compare_models, mcnemar
from tests.support.call_rows import numbered_sid
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.shadow import OTHER_MODEL, judged_by_both, shadow_verdict, store_shadow
from tests.support.verdicts import HUMAN, verdict

pytestmark = pytest.mark.anyio

PLAN = SamplingPlan(sample=0.0, difficult=0.5, second=0.0, low=LowConfidence(0.5, 0.5))
H, V, U = Label.HUMAN, Label.VOICEMAIL, Label.UNDECIDED


async def compare(
    database: Database, *, until: datetime | None = None, model: str | None = None, limit: int = 10
) -> ModelComparison:
    period = CallPeriod(datetime.now(UTC) - timedelta(days=7), until)
    return await compare_models(database, period, PLAN, model=model, limit=limit)


async def test_labels_of_both_models_are_counted_and_changes_listed(database: Database) -> None:
    for number, labels in enumerate([(H, H), (H, H), (H, V), (V, H), (U, V), (V, U)]):
        await judged_by_both(database, number, *labels)
    found = await compare(database)
    assert (found.model.id, found.model.runs) == (OTHER_MODEL.id, 6)
    assert found.labels == {(H, H): 2, (H, V): 1, (V, H): 1, (U, V): 1, (V, U): 1}
    assert (found.calls, found.agreeing, found.reviewed) == (6, 2, 0)
    # Opposite labels come first.
    assert {each.call_sid for each in found.changed[:2]} == {numbered_sid(2), numbered_sid(3)}
    assert len(found.changed) == 4
    assert len((await compare(database, limit=1)).changed) == 1


async def test_only_calls_that_began_in_the_period_are_compared(database: Database) -> None:
    for number, days in enumerate((8, 5, 1)):
        await judged_by_both(database, number, H, V)
        async with database.transaction() as session:
            old = update(CallLog).where(CallLog.call_sid == numbered_sid(number))
            await session.execute(old.values(created_at=datetime.now(UTC) - timedelta(days=days)))
    found = await compare(database, limit=1)
    assert (found.calls, found.model.runs) == (2, 2)
    before = await compare(database, until=datetime.now(UTC) - timedelta(days=3))
    assert (before.calls, [each.call_sid for each in before.changed]) == (1, [numbered_sid(1)])
    assert before.model.runs == 1
    with pytest.raises(
        NothingToCompare, match=r"no shadow runs on calls that began since \S+ \S+ and before \S+ \S+ UTC"
    ):
        await compare(database, until=datetime.now(UTC) - timedelta(days=6))


async def test_reviews_say_which_model_is_right(database: Database) -> None:
    for number in range(12):
        await judged_by_both(database, number, V, H, ReviewAnswer.HUMAN)
    await judged_by_both(database, 12, H, V, ReviewAnswer.HUMAN)
    await judged_by_both(database, 13, U, V, ReviewAnswer.VOICEMAIL)
    await judged_by_both(database, 14, H, H, ReviewAnswer.OTHER)
    await judged_by_both(database, 15, H, V)
    found = await compare(database, limit=20)
    assert (found.reviewed, found.only_present_right, found.only_shadow_right) == (14, 1, 13)
    assert found.p_value == pytest.approx(2 * 15 / 2**14)
    present, shadow = found.present.humans_called_voicemail, found.shadow.humans_called_voicemail
    assert present.rate is not None
    assert shadow.rate is not None
    assert present.rate > 0.8 > 0.3 > shadow.rate
    assert present.low > shadow.high
    assert {each.answer for each in found.changed} == {ReviewAnswer.HUMAN, ReviewAnswer.VOICEMAIL, None}


async def test_a_call_that_left_a_group_of_difficult_calls_counts_for_no_error_rate(database: Database) -> None:
    # It was undecided when it was drawn, and was judged again since. The random sample does not contain it.
    await judged_by_both(database, 1, V, H, ReviewAnswer.HUMAN, stratum=Stratum.UNDECIDED)
    found = await compare(database)
    assert (found.reviewed, found.only_shadow_right) == (1, 1)
    assert (found.present.humans_called_voicemail.reviews, found.shadow.humans_called_voicemail.reviews) == (0, 0)


async def test_the_shadow_label_is_compared_with_the_verdict_before_it(database: Database) -> None:
    await judged_by_both(database, 1, H, V)
    sid, call_sid = f"RE{1:032x}", numbered_sid(1)
    async with database.transaction() as session:
        await requeue_calls(session, [call_sid])
    (job,) = await claim(database)
    assert await settle(database, job, verdict(V, human=0.1))
    assert (await compare(database)).labels == {(H, V): 1}
    assert sid == job.recording_sid


async def test_without_runs_the_error_says_how_to_get_some(database: Database) -> None:
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, HUMAN)
    with pytest.raises(NothingToCompare, match="AMD_SHADOW_MODEL"):
        await compare(database)
    await store_shadow(database, shadow_verdict(V, human=0.1))
    with pytest.raises(NothingToCompare, match=r"no shadow runs of other .*there are runs of models/new"):
        await compare(database, model="other")


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (3, 10, 0.0923)])
def test_mcnemar_is_the_exact_two_sided_binomial_test(first: int, second: int, expected: float) -> None:
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-4)
