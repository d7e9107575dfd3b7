"""From the draw of calls to the reported interval, for made-up populations with known error rates."""

import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from math import sqrt
from typing import TypeVar

import pytest
from sqlalchemy import Boolean, literal_column, text

from amd_service.calls import reviews
from amd_service.calls.call_filter import CallFilter
from amd_service.calls.review_results import CallGroup, count_answers, count_judged
from amd_service.calls.review_sample import waiting_calls
from amd_service.calls.reviews import Draw, NewReview
from amd_service.calls.strata import stratum_of
from amd_service.calls.tables import CallLog
from amd_service.database.connection import connect
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import CallSid, Label, ReviewAnswer, ReviewQueue, Stratum
from amd_service.operations.review.answer import GivenAnswer, record_answer
from amd_service.operations.review.error_rates import ErrorRate, estimate_error_rates
from amd_service.operations.review.error_report import make_cells
from tests.support.app import make_settings
from tests.support.postgres import clone, with_database
from tests.support.sampling import make_plan, make_rules

# About 30 s on two free cores.
pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]

RUNS, CALLS = 500, 600
SETTINGS = make_settings(review_sample=0.1, review_difficult=0.8)
PLAN, RULES = make_plan(SETTINGS), make_rules(SETTINGS)

# A random number of a call, from 0 to 1. Production uses the numbers 0 and 1.
RANDOM = "(hashtextextended(call_sid, {})::float8 / 2::float8 ^ 64 + 0.5)"
IS_HUMAN = f"({RANDOM.format(11)} < 0.45)"
# Wrong verdicts are more often disagreements with Twilio, and of low confidence. Errors become rarer over the weeks.
FILL = f"""
    -- Without triggers and foreign keys, and without the indexes that no query of this test uses.
    set session_replication_role = replica;
    drop index ix_call_log_created_at, ix_call_log_answered_at, ix_call_log_to_number_created_at, ix_call_log_tags,
               ix_call_log_judged_day, ix_call_log_open, ix_call_log_campaign_created_at,
               ix_call_log_campaign_label_created_at;
    insert into call_log (call_sid, account_sid, call_status, analysis_state, label, confidence, reason, verdict_at,
                          created_at, twilio_answered_by, campaign)
    select call_sid, 'AC1', 'completed', 'judged', label, case when label = 'undecided' then 0.6
           when {RANDOM.format(15)} < case when is_wrong then 0.4 else 0.05 end then 0.75 else 0.95 end,
           case label when 'undecided' then 'low_confidence' else 'confident' end, created_at, created_at,
           case when {RANDOM.format(14)} < case when is_wrong then 0.6 else 0.06 end
                then case label when 'human' then 'machine_start' else 'human' end end,
           'run-' || run
      from (select *, case when {RANDOM.format(13)} < 0.05 then 'undecided'
                           when {IS_HUMAN} <> is_wrong then 'human' else 'voicemail' end as label
              from (select *, {RANDOM.format(12)} < (case when {IS_HUMAN} then 0.07 else 0.10 end) *
                              case when created_at < '2026-10-15' then 1.4 else 0.6 end as is_wrong
                      from (select *, timestamptz '2026-10-01' + {RANDOM.format(16)} * interval '28 days' as created_at
                              from (select run, 'CA' || md5(run || '-' || n) as call_sid
                                      from generate_series(1, {RUNS}) run, generate_series(1, {CALLS}) n offset 0) named
                            offset 0) dated
                    offset 0) judged
           ) labelled;
    insert into recording (recording_sid, call_sid, account_sid, source, recording_status, state)
    select 'RE' || substr(call_sid, 3), call_sid, 'AC1', 'OutboundAPI', 'completed', 'done' from call_log;
    analyze
"""
TRUTH = f"""
    select campaign,
           (count(*) filter (where label = 'voicemail' and {IS_HUMAN}))::float / count(*) filter (where {IS_HUMAN}),
           (count(*) filter (where label = 'human' and not {IS_HUMAN}))::float / count(*) filter (where not {IS_HUMAN})
      from call_log group by campaign
"""


@pytest.fixture(scope="module")
async def population(server_url: str, test_run: str, anyio_backend: str) -> AsyncIterator[Database]:
    """The calls of all runs. Each run is a campaign."""
    name = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_population"
    await clone(server_url, f"amd_test_{test_run}_template", name)
    connection = await connect(with_database(server_url, name), statement_timeout_s=None)
    await connection.execute(FILL)
    await connection.close()
    patient = Timeouts(statement_s=60, transaction_s=120, idle_s=120)
    database = Database(with_database(server_url, name), timeouts=patient)
    yield database
    await database.dispose()
    connection = await connect(server_url, statement_timeout_s=None)
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


async def choose_wrong_calls(database: Database) -> None:
    """A person looks for wrong verdicts, and corrects a third of them. These answers must not count."""
    wrong = f"label <> 'undecided' and (label = 'human') <> {IS_HUMAN} and {RANDOM.format(17)} < 0.33"
    async with database.transaction() as session:
        found = await session.execute(text(f"select call_sid, {IS_HUMAN} from call_log where {wrong}"))
        rows = [NewReview(sid, "chooser", answer(is_human), None, None) for sid, is_human in found]
    await add(database, rows)


async def review(database: Database, queue: ReviewQueue, *, share: float = 1.0, until: str = "") -> None:
    """Answer the first `share` of the calls that wait in a queue, in its order. `until`: on this day."""
    waiting = waiting_calls(queue, PLAN, "ann").add_columns(stratum_of(PLAN.low), literal_column(IS_HUMAN, Boolean))
    if until:
        waiting = waiting.where(CallLog.created_at < datetime.fromisoformat(until))
    async with database.transaction() as session:
        found = (await session.execute(waiting)).all()
    rows = [
        NewReview(sid, "ann", answer(is_human), None, Draw(Stratum(stratum), PLAN.probability(Stratum(stratum))))
        for sid, stratum, is_human in found[: round(share * len(found))]
    ]
    for row in rows[:10]:
        given = GivenAnswer(CallSid(row.call_sid), "ann", row.answer, "", seen=0, from_queue=True)
        recorded = await record_answer(database, PLAN, given)
        assert recorded is not None
        assert NewReview.of(recorded.review) == row
    # The other rows are written without the operation, because 60,000 transactions would take minutes.
    await add(database, rows[10:])


async def add(database: Database, rows: list[NewReview]) -> None:
    for start in range(0, len(rows), 5000):
        async with database.transaction() as session:
            await reviews.add_reviews(session, rows[start : start + 5000])


def answer(is_human: bool) -> ReviewAnswer:
    return ReviewAnswer.HUMAN if is_human else ReviewAnswer.VOICEMAIL


async def test_the_interval_covers_the_truth_in_93_percent_of_runs_and_a_plain_average_does_not(
    population: Database,
) -> None:
    await choose_wrong_calls(population)
    # In the middle of the month, people review everything. At the end, they have little time and stop early.
    for queue in (ReviewQueue.RANDOM, ReviewQueue.DISAGREEMENT, ReviewQueue.LOW_CONFIDENCE, ReviewQueue.UNDECIDED):
        await review(population, queue, until="2026-10-15T00:00:00+00:00")
    await review(population, ReviewQueue.RANDOM)
    await review(population, ReviewQueue.DISAGREEMENT, share=0.6)
    await review(population, ReviewQueue.LOW_CONFIDENCE, share=0.4)
    async with population.transaction() as session:
        judged = by_run(await count_judged(session, CallFilter(), RULES))
        answers = by_run(await count_answers(session, CallFilter(), RULES, PLAN))
        true_rates = {run: rates for run, *rates in await session.execute(text(TRUTH))}
    assert len(judged) == len(answers) == len(true_rates) == RUNS
    covered: Counter[str] = Counter()
    for seed, (run, (humans_called_voicemail, voicemails_called_human)) in enumerate(true_rates.items()):
        rates = estimate_error_rates(make_cells(judged[run], answers[run]), seed=seed)
        covered["humans"] += covers(rates.humans_called_voicemail, humans_called_voicemail)
        covered["voicemails"] += covers(rates.voicemails_called_human, voicemails_called_human)
        covered["plain average"] += covers_plainly(answers[run], humans_called_voicemail)
    assert min(covered["humans"], covered["voicemails"]) >= 0.93 * RUNS, covered
    assert covered["plain average"] < 0.5 * RUNS, covered


Grouped = TypeVar("Grouped", CallGroup, tuple[CallGroup, ReviewAnswer])


def by_run(counts: Counter[Grouped]) -> dict[str, Counter[Grouped]]:
    found: defaultdict[str, Counter[Grouped]] = defaultdict(Counter)
    for key, count in counts.items():
        group = key if isinstance(key, CallGroup) else key[0]
        found[group.campaign or ""][key] = count
    return found


def covers(rate: ErrorRate, truth: float) -> bool:
    return rate.low <= truth <= rate.high


def covers_plainly(answers: Counter[tuple[CallGroup, ReviewAnswer]], truth: float) -> bool:
    """Whether the 95 % interval of the share of wrong answers among the reviewed humans covers the truth."""
    humans = {group: count for (group, answer), count in answers.items() if answer is ReviewAnswer.HUMAN}
    reviewed = sum(humans.values())
    rate = sum(count for group, count in humans.items() if group.label is Label.VOICEMAIL) / reviewed
    return abs(rate - truth) <= 1.96 * sqrt(rate * (1 - rate) / reviewed)
