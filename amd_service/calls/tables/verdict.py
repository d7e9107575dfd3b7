"""`verdict`: every model run, with everything needed to repeat it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set, one_of, probability
from amd_service.domain import Label, Reason, Source

_RUN_COLUMNS = (
    "window_start_ms",
    "window_ms",
    "human_score",
    "voicemail_score",
    "inference_ms",
    "model_id",
    "weights_sha256",
    "engine",
    "precision",
    "proof",
)


class VerdictRow(Base):
    """One model run on one recording; the deciding run has the verdict. Rows are added, never changed."""

    __tablename__ = "verdict"
    __table_args__ = (
        closed_set("label", Label),
        closed_set("source", Source),
        closed_set("reason", Reason),
        probability("confidence"),
        probability("human_score"),
        probability("voicemail_score"),
        CheckConstraint("decided = (label is not null) and decided = (reason is not null)", name="label_when_decided"),
        CheckConstraint(
            f"not decided or (confidence is null) = ({one_of('reason', (Reason.NO_SPEECH, Reason.TOO_SHORT))})",
            name="confidence_when_a_model_ran",
        ),
        # A row has all columns of a run, or none of them if no model ran.
        CheckConstraint(f"num_nonnulls({', '.join(_RUN_COLUMNS)}) in (0, {len(_RUN_COLUMNS)})", name="whole_run"),
        Index(None, "recording_sid"),
        {"comment": "One row per model run. A verdict without a run (no speech, too short) has a row without scores."},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, comment="Order of writing.")
    recording_sid: Mapped[str] = mapped_column(
        ForeignKey("recording.recording_sid"), comment="The recording that was judged."
    )
    source: Mapped[str] = mapped_column(
        server_default=text("'recording'"), comment="Basis of the verdict: `recording`, or `stream` (live)."
    )
    attempt: Mapped[int] = mapped_column(comment="The attempt of the job that made this run.")
    run_number: Mapped[int] = mapped_column(comment="Which run of that attempt, from 1; 0 when no model ran.")
    decided: Mapped[bool] = mapped_column(comment="Whether the verdict is based on this run: the last of its attempt.")
    label: Mapped[str | None] = mapped_column(comment="`human`, `voicemail` or `undecided`; on the deciding run only.")
    confidence: Mapped[float | None] = mapped_column(
        comment="Probability of the top class, 0 to 1; null when no model ran, and on runs that did not decide."
    )
    reason: Mapped[str | None] = mapped_column(
        comment="`confident`, `low_confidence`, `no_speech` or `too_short`; on the deciding run only."
    )
    channel: Mapped[int | None] = mapped_column(comment="Judged channel, from 1; null when the audio was mixed down.")
    channels_mixed: Mapped[bool] = mapped_column(
        comment="True if caller and called party were judged as one mixed signal."
    )
    onset_ms: Mapped[int | None] = mapped_column(
        comment="Where speech begins in the recording, in milliseconds; null when none was found."
    )
    window_start_ms: Mapped[int | None] = mapped_column(comment="Where the window begins in the recording, in ms.")
    window_ms: Mapped[int | None] = mapped_column(comment="Length of the window given to the model, in ms.")
    human_score: Mapped[float | None] = mapped_column(comment="Probability of human in this run.")
    voicemail_score: Mapped[float | None] = mapped_column(comment="Probability of voicemail in this run.")
    inference_ms: Mapped[float | None] = mapped_column(comment="Milliseconds the model took.")
    model_id: Mapped[str | None] = mapped_column(comment="Hub id or folder of the model.")
    model_revision: Mapped[str | None] = mapped_column(
        comment="Resolved commit of a hub model; null for a model from a folder."
    )
    weights_sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the weights file, in hex.")
    engine: Mapped[str | None] = mapped_column(comment="Inference engine, e.g. `torch`.")
    precision: Mapped[str | None] = mapped_column(comment="Number format of the weights, e.g. `fp32`.")
    proof: Mapped[str | None] = mapped_column(comment="Result of the golden clips for the model's label order.")
    policy: Mapped[dict[str, Any]] = mapped_column(comment="The thresholds that were in force.")
    policy_version: Mapped[str] = mapped_column(
        comment="First 12 hex digits of the SHA-256 of policy: equal exactly when the thresholds are."
    )
    audio_sha256: Mapped[str] = mapped_column(comment="SHA-256 of the audio bytes that were read, in hex.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="When it was written.")
