"""Runs of shadow models: the verdicts that another model would have given on recordings that are judged."""

from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.tables import VerdictRow
from amd_service.calls.tables.verdict import SHADOW
from amd_service.calls.verdict_rows import verdict_rows
from amd_service.domain import ModelIdentity, Source, Verdict


async def add_shadow_runs(session: AsyncSession, recording_sid: str, verdict: Verdict, *, attempt: int) -> bool:
    """Store the runs of another model on a judged recording. The call keeps its verdict.

    Returns False and stores nothing if this model has judged the recording under the same policy before, or if the
    verdict has no run. `attempt`: the attempt whose verdict the runs are compared with.
    """
    if not verdict.runs:
        return False
    rows = verdict_rows(recording_sid, verdict, source=Source.SHADOW, attempt=attempt)
    statement = insert(VerdictRow).on_conflict_do_nothing(
        index_elements=["recording_sid", "model_id", "weights_sha256", "policy_version", "run_number"],
        index_where=text(SHADOW),
    )
    added = await session.scalars(statement.returning(VerdictRow.id), rows)
    return bool(added.all())


async def has_shadow_runs(session: AsyncSession, recording_sids: Sequence[str], model: ModelIdentity) -> set[str]:
    """Return those of the recordings that this model has judged."""
    statement = select(VerdictRow.recording_sid).where(
        text(SHADOW),
        VerdictRow.recording_sid.in_(recording_sids),
        VerdictRow.model_id == model.id,
        VerdictRow.weights_sha256 == model.weights_sha256,
    )
    return set(await session.scalars(statement))
