"""Runs of a shadow model."""

from dataclasses import replace

from amd_service.calls.shadow_runs import add_shadow_runs
from amd_service.database.pool import Database
from amd_service.domain import Label, RecordingSid, Verdict
from tests.support.sids import RECORDING
from tests.support.verdicts import MODEL, verdict

OTHER_MODEL = replace(MODEL, id="models/new", weights_sha256="1" * 64)


def shadow_verdict(label: Label, *, human: float = 0.9, runs: int = 1) -> Verdict:
    given = verdict(label, human=human, runs=runs)
    return replace(given, channel=2, runs=tuple(replace(run, model=OTHER_MODEL) for run in given.runs))


async def store_shadow(database: Database, given: Verdict, sid: RecordingSid = RECORDING) -> bool:
    async with database.transaction() as session:
        return await add_shadow_runs(session, sid, given, attempt=1)
