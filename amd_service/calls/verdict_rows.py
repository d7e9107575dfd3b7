"""Converts a verdict to rows of the table `verdict`, and back."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from amd_service.calls.tables import VerdictRow
from amd_service.domain import Label, ModelIdentity, ModelRun, Reason, Scores, Source, Verdict


def verdict_rows(recording_sid: str, verdict: Verdict, *, source: Source, attempt: int) -> list[dict[str, Any]]:
    """Return one row for each model run.

    The verdict is based on the last run. If no model ran, return one row without scores. The verdict of a shadow model
    has a label, but is not `decided`.
    """
    policy = json.dumps(dict(verdict.policy), sort_keys=True, default=str)
    shared = {
        "recording_sid": recording_sid,
        "source": source,
        "attempt": attempt,
        "channel": verdict.channel,
        "channels_mixed": verdict.channels_mixed,
        "onset_ms": verdict.onset_ms,
        "policy": json.loads(policy),
        "policy_version": hashlib.sha256(policy.encode()).hexdigest()[:12],
        "audio_sha256": verdict.audio_sha256,
    }
    outcome = {
        "label": verdict.label,
        "confidence": verdict.confidence,
        "reason": verdict.reason,
        # The audio is the same as that of the verdict, whose row has the evidence.
        "evidence": None if source is Source.SHADOW else verdict.evidence,
    }
    no_outcome = dict.fromkeys(outcome)
    if not verdict.runs:
        return [shared | outcome | _run_columns(None) | {"run_number": 0, "decided": True}]
    last = len(verdict.runs)
    return [
        shared
        | (outcome if number == last else no_outcome)
        | _run_columns(run)
        | {"run_number": number, "decided": number == last and source is not Source.SHADOW}
        for number, run in enumerate(verdict.runs, start=1)
    ]


def _run_columns(run: ModelRun | None) -> dict[str, Any]:
    return {
        "window_start_ms": run and run.window_start_ms,
        "window_ms": run and run.window_ms,
        "human_score": run and run.scores.human,
        "voicemail_score": run and run.scores.voicemail,
        "inference_ms": run and run.inference_ms,
        "model_id": run and run.model.id,
        "model_revision": run and run.model.revision,
        "weights_sha256": run and run.model.weights_sha256,
        "engine": run and run.model.engine,
        "precision": run and run.model.precision,
        "proof": run and run.model.proof,
    }


def stored_verdict(rows: Sequence[VerdictRow]) -> Verdict:
    """Return the verdict that `verdict_rows` stored in these rows, which are sorted by the number of the run."""
    # Any, because constraints of the table say which columns are not null.
    last: Any = rows[-1]
    return Verdict(
        label=Label(last.label),
        confidence=last.confidence,
        reason=Reason(last.reason),
        onset_ms=last.onset_ms,
        runs=tuple(_stored_run(row) for row in rows if row.human_score is not None),
        channel=last.channel,
        channels_mixed=last.channels_mixed,
        audio_sha256=last.audio_sha256,
        policy=last.policy,
        evidence=last.evidence,
    )


def _stored_run(row: Any) -> ModelRun:
    return ModelRun(
        scores=Scores(row.human_score, row.voicemail_score),
        window_start_ms=row.window_start_ms,
        window_ms=row.window_ms,
        inference_ms=row.inference_ms,
        model=ModelIdentity(row.model_id, row.model_revision, row.weights_sha256, row.engine, row.precision, row.proof),
    )
