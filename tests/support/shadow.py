"""Runs of a shadow model."""

from dataclasses import replace

from amd_service.calls.reviews import Draw, NewReview, add_reviews
from amd_service.calls.shadow_runs import add_shadow_runs
from amd_service.database.pool import Database
from amd_service.domain import Label, RecordingSid, ReviewAnswer, Stratum, Verdict
from tests.support.call_rows import numbered_sid
from tests.support.deliveries import claim, deliver, recording, settle, status
from tests.support.sids import RECORDING
from tests.support.verdicts import MODEL, verdict

OTHER_MODEL = replace(MODEL, id="models/new", weights_sha256="1" * 64)


def shadow_verdict(label: Label, *, human: float = 0.9, runs: int = 1) -> Verdict:
    given = verdict(label, human=human, runs=runs)
    return replace(given, channel=2, runs=tuple(replace(run, model=OTHER_MODEL) for run in given.runs))


async def store_shadow(database: Database, given: Verdict, sid: RecordingSid = RECORDING) -> bool:
    async with database.transaction() as session:
        return await add_shadow_runs(session, sid, given, attempt=1)


async def judged_by_both(
    database: Database,
    number: int,
    present: Label,
    shadow: Label,
    answer: ReviewAnswer | None = None,
    stratum: Stratum = Stratum.REST,
) -> None:
    """A call with a verdict and a label of the shadow model.

    `answer`: of a person, who got the call from a queue. `stratum`: group of the call at that time.
    """
    call_sid, sid = numbered_sid(number), RecordingSid(f"RE{number:032x}")
    await deliver(database, status("completed", call_sid=call_sid), recording("completed", sid, call_sid=call_sid))
    (job,) = await claim(database)
    assert await settle(database, job, verdict(present, human=_human_score(present)))
    assert await store_shadow(database, shadow_verdict(shadow, human=_human_score(shadow)), sid)
    if answer is not None:
        new = NewReview(call_sid, "alice", answer, None, Draw(stratum, 0.5))
        async with database.transaction() as session:
            await add_reviews(session, [new])


def _human_score(label: Label) -> float:
    return {Label.HUMAN: 0.9, Label.VOICEMAIL: 0.1, Label.UNDECIDED: 0.6}[label]
