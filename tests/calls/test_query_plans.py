"""No query that runs again and again reads a whole table."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls import (
    actions,
    annotations,
    call_requests,
    call_totals,
    deliveries,
    erasure,
    expiry,
    given_up,
    inbox,
    judged_again,
    number_backfill,
    queue,
    queue_length,
    reconciliation,
)
from amd_service.calls.analysis import lock_call, refresh_call
from amd_service.calls.call_filter import CallFilter
from amd_service.calls.campaign_totals import count_by_campaign
from amd_service.calls.folding import Unfolded, fold
from amd_service.calls.judged_again import Period
from amd_service.calls.lookup import find_recording, read_call
from amd_service.calls.neighbours import find_neighbours
from amd_service.calls.number_backfill import Cursor
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.shadow_comparison import CallPeriod, list_shadow_models
from amd_service.calls.stored_verdicts import read_stored_calls
from amd_service.calls.whole_call import read_whole_call
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, Action, ActionKind, CallSid, DeliveryState, Label
from tests.support.app import make_settings
from tests.support.postgres import filled_database
from tests.support.query_plans import FILL, plans
from tests.support.sampling import make_plan, make_rules

pytestmark = pytest.mark.anyio

Work = Callable[[AsyncSession], Awaitable[Any]]

ACCOUNT = AccountSid("AC1")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LAST_DAYS = Period(datetime.now(UTC) - timedelta(days=4), datetime.now(UTC))
AFTER = (datetime.now(UTC) - timedelta(days=2), "CA17")
HASH = NumberPolicy("hash", b"k" * 16)
SEQ_SCAN = re.compile(r"Seq Scan on \w+")


@pytest.fixture(scope="module")
async def filled(server_url: str, test_run: str, anyio_backend: str) -> AsyncIterator[Database]:
    async with filled_database(server_url, test_run, "filled", lambda connection: connection.execute(FILL)) as database:
        yield database


async def refresh(session: AsyncSession) -> None:
    await refresh_call(session, await lock_call(session, "CA17"))


async def fold_callback(session: AsyncSession) -> None:
    await fold(session, [Unfolded(17, "CA17", ACCOUNT, "RE17", None, datetime.now(UTC))], skip_locked=True)


RULES = make_rules(make_settings())
PLAN = make_plan(make_settings())

BACKEND = "https://backend.example.com/"

QUERIES: dict[str, tuple[Work, set[str]]] = {
    "counts of the last 24 hours": (
        lambda session: call_totals.count_calls(session, CallFilter(), RULES),
        {"ix_call_log_created_at", "ix_recording_due_first"},
    ),
    "counts of a search": (
        lambda session: call_totals.count_calls(session, CallFilter(search=f"CA{'0' * 32}"), RULES),
        {"pk_call_log", "ix_recording_due_first"},
    ),
    "claim": (
        lambda session: queue.claim(session, worker="w", limit=10, lease_s=60, max_attempts=3),
        {"ix_recording_due_first", "ix_recording_due_again"},
    ),
    "giving up jobs": (
        lambda session: queue.give_up_spent(session, limit=10, max_attempts=1),
        {"ix_recording_due_first", "ix_recording_due_again", "pk_call_log"},
    ),
    "time of the next job": (queue_length.seconds_until_due, {"ix_recording_due_first", "ix_recording_due_again"}),
    "depth of the queue": (queue_length.depth, {"ix_recording_due_first", "ix_recording_due_again"}),
    "depth of the queue of deliveries": (queue_length.delivery_depth, {"ix_delivery_due", "ix_delivery_dead"}),
    "requeue": (
        lambda session: given_up.requeue_given_up(session, failure=None, after="", limit=50),
        {"ix_recording_given_up"},
    ),
    "number of recordings to requeue": (
        lambda session: given_up.count_given_up(session, None),
        {"ix_recording_given_up"},
    ),
    "requeue of judged calls": (
        lambda session: judged_again.requeue_judged(session, LAST_DAYS, after=None, limit=20, dry_run=False),
        {"ix_call_log_created_at", "ix_recording_call_sid"},
    ),
    "requeue of more judged calls": (
        lambda session: judged_again.requeue_judged(session, LAST_DAYS, after=AFTER, limit=20, dry_run=True),
        {"ix_call_log_created_at", "ix_recording_call_sid"},
    ),
    "stored verdicts of a batch": (
        lambda session: read_stored_calls(
            session, CallFilter(last=timedelta(days=3)), RULES, PLAN, older_than=None, limit=10
        ),
        {"ix_call_log_created_at", "ix_recording_call_sid", "ix_verdict_recording_sid", "ix_review_call_sid_id"},
    ),
    "analysis": (refresh, {"pk_call_log", "ix_recording_call_sid", "ix_verdict_recording_sid"}),
    "one call": (
        lambda session: read_call(session, CallSid("CA17")),
        {"pk_call_log", "ix_recording_call_sid", "ix_verdict_recording_sid"},
    ),
    "models with shadow runs": (
        lambda session: list_shadow_models(session, CallPeriod(LAST_DAYS.since, LAST_DAYS.until)),
        {"ix_verdict_shadow_created_at"},
    ),
    "page of a call": (
        lambda session: read_whole_call(session, CallSid("CA17")),
        {
            "pk_call_log",
            "ix_recording_call_sid",
            "ix_verdict_recording_sid",
            "ix_callback_call_sid",
            "ix_review_call_sid_id",
        },
    ),
    "neighbours of a call": (
        lambda session: find_neighbours(session, CallFilter(labels=(Label.HUMAN,)), RULES, CallSid("CA17")),
        {"pk_call_log", "ix_call_log_created_at"},
    ),
    "recording to hear": (lambda session: find_recording(session, CallSid("CA17"), "RE17"), {"pk_recording"}),
    "calls of each campaign": (
        lambda session: count_by_campaign(session, timedelta(days=2)),
        {"ix_call_log_created_at"},
    ),
    "claim of callbacks to fold": (lambda session: inbox.claim(session, 40), {"pk_inbox"}),
    "calls of callbacks to fold": (lambda session: inbox.due_calls(session, 40), {"pk_inbox"}),
    "folding": (
        fold_callback,
        {"pk_call_log", "pk_recording", "ix_callback_call_sid", "ix_recording_call_sid", "ix_verdict_recording_sid"},
    ),
    "due actions": (
        lambda session: actions.claim_due(session, [ACCOUNT], {Label.HUMAN: Action(ActionKind.HANG_UP)}, 16),
        {"ix_call_log_action_due"},
    ),
    "open calls": (
        lambda session: reconciliation.open_calls(session, ACCOUNT, since=LONG_AGO, quiet_s=60),
        {"ix_call_log_open"},
    ),
    "recordings to erase": (lambda session: erasure.claim_erasable(session, [ACCOUNT], 10), {"ix_recording_to_erase"}),
    "number of recordings to erase": (erasure.count_erasable, {"ix_recording_to_erase"}),
    "old callbacks": (lambda session: expiry.strip_callbacks(session, days=1, limit=20), {"ix_callback_whole"}),
    "claim of deliveries": (
        lambda session: deliveries.claim(session, url=BACKEND, worker="w", limit=10, lease_s=60),
        {"ix_delivery_due"},
    ),
    "next delivery": (lambda session: deliveries.seconds_until_due(session, BACKEND), {"ix_delivery_due"}),
    "waiting deliveries": (
        lambda session: deliveries.list_deliveries(session, state=DeliveryState.QUEUED, limit=50),
        {"ix_delivery_due"},
    ),
    "deliveries to removed URLs": (
        lambda session: deliveries.give_up_unclaimed(session, urls=["https://kept.example.com"], limit=10),
        {"ix_delivery_due"},
    ),
    "claim of annotations": (
        lambda session: annotations.claim(session, worker="w", limit=10, lease_s=60),
        {"ix_annotation_due"},
    ),
    "next annotation": (annotations.seconds_until_due, {"ix_annotation_due"}),
    "old deliveries": (
        lambda session: deliveries.delete_finished(session, days=20, limit=20),
        {"ix_delivery_finished"},
    ),
    "old requests": (lambda session: expiry.delete_old_requests(session, 20), {"ix_call_request_created_at"}),
    "rate limit": (
        lambda session: call_requests.reserve(session, key="k", fingerprint="", account_sid=ACCOUNT, per_minute=60),
        {"ix_call_request_created_at"},
    ),
    "numbers in calls": (
        lambda session: number_backfill.apply_number_policy_to_calls(session, HASH, Cursor(datetime.now(UTC), ""), 100),
        {"ix_call_log_created_at"},
    ),
    "numbers in callbacks": (
        lambda session: number_backfill.apply_number_policy_to_callbacks(
            session, HASH, Cursor(datetime.now(UTC), 0), 100
        ),
        {"ix_callback_received_at"},
    ),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_repeated_query_uses_an_index(filled: Database, name: str) -> None:
    work, indexes = QUERIES[name]
    async with filled.transaction() as session:
        found = await plans(session, work)
        await session.rollback()
    assert SEQ_SCAN.findall(found) == [], found
    assert {index for index in indexes if index not in found} == set(), found


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "select * from call_log where to_number = '+150017' order by created_at desc limit 20",
            "ix_call_log_to_number_created_at",
        ),
        ("select * from call_log where answered_at >= now() - interval '1 hour'", "ix_call_log_answered_at"),
        ("select * from call_log_agreement where day >= current_date - 2", "ix_call_log_judged_day"),
        ("select * from call_log_agreement where day = current_date", "ix_call_log_judged_day"),
    ],
)
async def test_a_query_of_a_dashboard_uses_an_index(filled: Database, query: str, index: str) -> None:
    async with filled.transaction() as session:
        found = await plans(session, lambda session: session.execute(text(query)))
    assert index in found, found
    assert SEQ_SCAN.findall(found) == [], found


EXAMPLES = re.findall(r"```sql\n(.+?);\n```", Path("docs/queries.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("query", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_an_example_query_for_dashboards_uses_an_index(filled: Database, query: str) -> None:
    # The test database has only a month of calls, so that a longer period is the whole table.
    query = re.sub(r"\d+ days", "1 day", query).replace("current_date - 30", "current_date - 1")
    async with filled.transaction() as session:
        found = await plans(session, lambda session: session.execute(text(query)))
    assert SEQ_SCAN.findall(found) == [], found
