"""A call is read as JSON."""

import pytest

from amd_service.calls.lookup import read_call
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.sids import CALL, RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def test_reading_a_call_gives_plain_json(database: Database) -> None:
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    async with database.transaction() as session:
        call = await read_call(session, CALL)
        assert await read_call(session, CallSid("CA" + "9" * 32)) is None
    assert call is not None
    assert (call["call_sid"], call["label"]) == (CALL, "human")
    assert [row["recording_sid"] for row in call["recordings"]] == [RECORDING]
    assert call["verdicts"][0]["human_score"] == 0.9
    assert str(call["verdict_at"]).endswith("+00:00")
