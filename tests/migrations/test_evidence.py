"""Migration 0009: reasons that an older version does not know."""

import pytest
from alembic import command

from amd_service.database.connection import connect, open_admin_engine
from amd_service.database.revisions import alembic_config
from amd_service.database.schema import migrate

pytestmark = pytest.mark.anyio

JUDGED = """
    insert into call_log (call_sid, account_sid, analysis_state, label, confidence, reason, verdict_at, heard)
    values ('CA1', 'AC1', 'judged', 'voicemail', 0.4, 'beep', now(), null),
           ('CA2', 'AC1', 'judged', 'undecided', 0.9, 'disagreement', now(), null),
           ('CA3', 'AC1', 'judged', 'undecided', null, 'no_speech', now(), 'busy')
"""


@pytest.mark.slow
async def test_a_downgrade_turns_the_new_reasons_into_those_that_the_older_version_knows(bare_url: str) -> None:
    await migrate(bare_url, "0009")
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(JUDGED)
    async with open_admin_engine(bare_url) as engine, engine.begin() as migrating:
        await migrating.run_sync(lambda sync: command.downgrade(alembic_config(sync), "0008"))
    rows = await connection.fetch("select label, reason from call_log order by call_sid")
    assert [tuple(row) for row in rows] == [
        ("voicemail", "confident"),
        ("undecided", "low_confidence"),
        ("undecided", "no_speech"),
    ]
    await connection.close()
