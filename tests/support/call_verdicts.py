"""Calls with verdicts whose runs have chosen scores."""

from collections.abc import Sequence
from dataclasses import replace

from amd_service.database.pool import Database
from amd_service.detection.decision import Policy
from amd_service.domain import CallSid, Label, ModelRun, Scores, Verdict
from tests.support.app import make_settings
from tests.support.deliveries import claim, settle
from tests.support.queued import queued
from tests.support.verdicts import MODEL, verdict

POLICY = Policy.from_settings(make_settings())


def judged(label: Label, *human_scores: float) -> Verdict:
    """A verdict with one run for each score, of the first window and of the longer window."""
    runs = tuple(
        ModelRun(Scores(score, 1 - score), 0, length, 12.5, MODEL)
        for score, length in zip(human_scores, (POLICY.window_ms, POLICY.long_window_ms), strict=False)
    )
    return replace(verdict(label, human=human_scores[-1]), runs=runs, policy=POLICY.as_dict())


async def store_verdicts(database: Database, verdicts: Sequence[Verdict]) -> list[CallSid]:
    """Judge a call for each verdict. The recording number `n` has the verdict number `n`."""
    sids = await queued(database, len(verdicts))
    jobs = {job.recording_sid: job for job in await claim(database, limit=len(verdicts))}
    for sid, each in zip(sids, verdicts, strict=True):
        assert await settle(database, jobs[sid], each)
    return [CallSid(f"CA{sid[2:]}") for sid in sids]
