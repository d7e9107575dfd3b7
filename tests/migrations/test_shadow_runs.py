"""Migrations 0009 to 0012: short locks on large tables, and a downgrade of filled tables."""

import pytest
from alembic import command

from amd_service.database.connection import connect, open_admin_engine
from amd_service.database.revisions import alembic_config
from amd_service.database.schema import migrate

pytestmark = pytest.mark.anyio

CALL = """
    insert into call_log (call_sid, account_sid, analysis_state, label, confidence, reason, verdict_at)
    values ('CA1', 'AC1', 'judged', 'human', 0.9, 'confident', now());
    insert into recording (recording_sid, call_sid, account_sid, state, source)
    values ('RE1', 'CA1', 'AC1', 'done', 'OutboundAPI')
"""
RUN = """
    insert into verdict (recording_sid, source, attempt, run_number, decided, label, confidence, reason, channels_mixed,
                         onset_ms, window_start_ms, window_ms, human_score, voicemail_score, inference_ms, model_id,
                         weights_sha256, engine, precision, proof, policy, policy_version, audio_sha256)
    values ('RE1', '{source}', 1, 1, {decided}, 'human', 0.9, 'confident', false, 0, 0, 2000, 0.9, 0.1, 1, 'm', '',
            'torch', 'fp32', 'proven', '{{}}', '', '')
"""
LATER = """
    insert into annotation (call_sid, answered_by) values ('CA1', 'human');
    insert into recheck (call_sid) values ('CA1');
"""
NOT_CHECKED = "select conname from pg_constraint where not convalidated"
CHANGED = {
    "ck_call_log_reason_fits_state",
    "ck_call_log_reason_fits_label",
    "ck_call_log_heard",
    "ck_verdict_reason",
    "ck_verdict_source",
    "ck_verdict_label_when_decided",
    "ck_verdict_confidence_when_a_model_ran",
    "ck_verdict_shadow_run",
}


@pytest.mark.slow
async def test_a_downgrade_keeps_the_verdicts_and_drops_the_runs_of_other_models(bare_url: str) -> None:
    await migrate(bare_url)
    connection = await connect(bare_url, statement_timeout_s=5)
    verdict, shadow = RUN.format(source="recording", decided=True), RUN.format(source="shadow", decided=False)
    await connection.execute(";".join((CALL, verdict, shadow, LATER)))
    async with open_admin_engine(bare_url) as engine, engine.begin() as migrating:
        await migrating.run_sync(lambda sync: command.downgrade(alembic_config(sync), "0008"))
    assert await connection.fetch("select source, label from verdict") == [("recording", "human")]
    await migrate(bare_url)
    assert await connection.fetchval("select reason from call_log") == "confident"
    await connection.close()


async def test_old_rows_are_checked_against_changed_constraints_only_after_the_locks_have_ended(bare_url: str) -> None:
    async with open_admin_engine(bare_url) as engine, engine.begin() as migrating:
        await migrating.run_sync(lambda sync: command.upgrade(alembic_config(sync), "head"))
    connection = await connect(bare_url, statement_timeout_s=5)
    assert {name for (name,) in await connection.fetch(NOT_CHECKED)} == CHANGED
    await migrate(bare_url)
    assert await connection.fetch(NOT_CHECKED) == []
    await connection.close()
