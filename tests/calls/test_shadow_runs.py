"""Runs of a shadow model are stored beside the verdict and change nothing."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from amd_service.calls.analysis import refresh_calls
from amd_service.calls.call_filter import CallFilter
from amd_service.calls.call_totals import count_calls
from amd_service.calls.judged_again import requeue_calls
from amd_service.calls.lookup import read_call
from amd_service.calls.reviews import find_judged_channel
from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.settings import Settings
from tests.support.deliveries import call_row, claim, deliver, recording, settle, status, verdict_rows
from tests.support.outbox import URL, rows, with_backends
from tests.support.sampling import make_rules
from tests.support.shadow import shadow_verdict, store_shadow
from tests.support.sids import CALL, RECORDING
from tests.support.verdicts import HUMAN, no_speech, verdict

pytestmark = pytest.mark.anyio

VOICEMAIL = shadow_verdict(Label.VOICEMAIL, human=0.1, runs=2)


async def judged(database: Database) -> None:
    await deliver(database, status("completed"), recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN)


async def everything_else(database: Database) -> dict[str, Any]:
    """The data of the call, apart from its shadow runs."""
    rules = make_rules(Settings(_env_file=None))
    async with database.transaction() as session:
        call = await read_call(session, CALL)
        totals = await count_calls(session, CallFilter(), rules)
        channel = await find_judged_channel(session, RECORDING)
    assert call is not None
    shadow = call.pop("shadow_runs")
    return {
        "call": call,
        "labels": totals.labels,
        "verdict_s": totals.verdict_s,
        "channel": channel,
        "shadow": bool(shadow),
    }


async def test_runs_of_a_shadow_model_are_stored_with_the_label_that_its_verdict_would_have(database: Database) -> None:
    await judged(database)
    assert await store_shadow(database, VOICEMAIL)
    first, *shadow = await verdict_rows(database)
    assert (first.source, first.decided) == ("recording", True)
    assert [(row.source, row.decided, row.label, row.model_id) for row in shadow] == [
        ("shadow", False, None, "models/new"),
        ("shadow", False, "voicemail", "models/new"),
    ]


async def test_the_same_runs_are_stored_only_once(database: Database) -> None:
    await judged(database)
    assert [await store_shadow(database, VOICEMAIL) for _ in range(2)] == [True, False]
    assert len(await verdict_rows(database)) == 3
    assert await store_shadow(database, verdict(Label.VOICEMAIL, human=0.1))  # by another model


async def test_audio_without_a_model_run_has_no_shadow_runs(database: Database) -> None:
    await judged(database)
    assert not await store_shadow(database, no_speech())


async def test_shadow_runs_change_nothing_about_the_call(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await judged(opened)
        before, events = await everything_else(opened), await rows(opened)
        await store_shadow(opened, VOICEMAIL)
        async with opened.transaction() as session:
            await refresh_calls(session, [CALL])
        after = await everything_else(opened)
        assert after == before | {"shadow": True}
        assert len(events) == len(await rows(opened)) == 1


async def test_a_recording_that_is_judged_again_gets_its_new_verdict_despite_shadow_runs(database: Database) -> None:
    await judged(database)
    await store_shadow(database, VOICEMAIL)
    async with database.transaction() as session:
        await requeue_calls(session, [CALL])
    (job,) = await claim(database)
    assert await settle(database, job, verdict(Label.UNDECIDED, human=0.6))
    assert (await call_row(database)).label == "undecided"


@pytest.mark.parametrize("change", ["decided = true", "model_id = null", "reason = null"])
async def test_the_database_refuses_a_shadow_run_that_could_be_a_verdict(database: Database, change: str) -> None:
    await judged(database)
    await store_shadow(database, VOICEMAIL)
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            await session.execute(text(f"update verdict set {change} where source = 'shadow' and label is not null"))
