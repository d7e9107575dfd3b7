"""Table `verdict`: every model run, with all values that are needed to repeat the run."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set, one_of, probability
from amd_service.domain import Label, Reason, Source

# SQL condition of a run of a shadow model. A query must repeat it word for word, because Postgres then uses the index.
SHADOW = "source = 'shadow'"

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
    """One model run on one recording. The last run of an attempt produces the verdict. Rows are never changed.

    A run of a shadow model is never `decided`, so a query for verdicts needs the condition `decided` and no other one.
    """

    __tablename__ = "verdict"
    __table_args__ = (
        closed_set("label", Label),
        closed_set("source", Source),
        closed_set("reason", Reason),
        probability("confidence"),
        probability("human_score"),
        probability("voicemail_score"),
        CheckConstraint(
            "(label is null) = (reason is null) and case when source = 'shadow' then not decided "
            "else decided = (label is not null) end",
            name="label_when_decided",
        ),
        CheckConstraint(
            f"label is null or (confidence is null) = ({one_of('reason', (Reason.NO_SPEECH, Reason.TOO_SHORT))})",
            name="confidence_when_a_model_ran",
        ),
        # If a model ran, all columns of the run have a value. If no model ran, all of them are null.
        CheckConstraint(f"num_nonnulls({', '.join(_RUN_COLUMNS)}) in (0, {len(_RUN_COLUMNS)})", name="whole_run"),
        # The model of a shadow verdict must be known.
        CheckConstraint("source <> 'shadow' or model_id is not null", name="shadow_run"),
        Index(None, "recording_sid"),
        # A worker that dies after the commit makes the same shadow runs again.
        Index(
            "ix_verdict_shadow_run",
            "recording_sid",
            "model_id",
            "weights_sha256",
            "policy_version",
            "run_number",
            unique=True,
            postgresql_where=text(SHADOW),
        ),
        Index("ix_verdict_shadow_created_at", "created_at", postgresql_where=text(SHADOW)),
        {
            "comment": (
                "One row per model run. A verdict without a model run (no speech, or too short) has one row without "
                "scores. A verdict of a call is always a row with `decided`."
            )
        },
    )

    id: Mapped[int] = mapped_column(
        BigInteger, Identity(always=True), primary_key=True, comment="Number of the row, in order of writing."
    )
    recording_sid: Mapped[str] = mapped_column(
        ForeignKey("recording.recording_sid"), comment="RecordingSid or StreamSid of the judged recording."
    )
    source: Mapped[str] = mapped_column(
        server_default=text("'recording'"),
        comment="Basis of the verdict: `recording`, or `stream` (live). `shadow`: run of another model on a recording, "
        "for comparison; see docs/models.md.",
    )
    attempt: Mapped[int] = mapped_column(comment="Number of the attempt that made this run.")
    run_number: Mapped[int] = mapped_column(
        comment="Number of the run within its attempt, starting at 1. If no model ran, the number is 0."
    )
    decided: Mapped[bool] = mapped_column(
        comment="True if the verdict is based on this run, which is the last run of its attempt. Always false for a "
        "run of a shadow model."
    )
    label: Mapped[str | None] = mapped_column(
        comment="`human`, `voicemail` or `undecided`. Null if another run of the attempt follows. For a shadow model: "
        "the label that its verdict would have."
    )
    confidence: Mapped[float | None] = mapped_column(
        comment="Probability of the top class, from 0 to 1; with reason `beep`, of voicemail. Null if no model ran, or "
        "if label is null."
    )
    reason: Mapped[str | None] = mapped_column(
        comment="`confident`, `beep`, `low_confidence`, `disagreement`, `no_speech` or `too_short`. Null if label is "
        "null."
    )
    channel: Mapped[int | None] = mapped_column(
        comment="Number of the judged channel, from 1. Null if the channels were mixed."
    )
    channels_mixed: Mapped[bool] = mapped_column(
        comment="True if caller and called party were judged as one mixed signal."
    )
    onset_ms: Mapped[int | None] = mapped_column(
        comment=("Start of speech, in milliseconds from the start of the recording. Null if no speech was found.")
    )
    window_start_ms: Mapped[int | None] = mapped_column(
        comment="Start of the window given to the model, in milliseconds from the start of the recording."
    )
    window_ms: Mapped[int | None] = mapped_column(comment="Length of the window given to the model, in milliseconds.")
    human_score: Mapped[float | None] = mapped_column(comment="Probability of human in this run, from 0 to 1.")
    voicemail_score: Mapped[float | None] = mapped_column(comment="Probability of voicemail in this run, from 0 to 1.")
    inference_ms: Mapped[float | None] = mapped_column(comment="Duration of the model run, in milliseconds.")
    model_id: Mapped[str | None] = mapped_column(comment="Hugging Face hub id or folder of the model.")
    model_revision: Mapped[str | None] = mapped_column(
        comment="Resolved commit of a model from the Hugging Face hub. Null for a model from a folder."
    )
    weights_sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the weights file, in hex.")
    engine: Mapped[str | None] = mapped_column(comment="Inference engine, e.g. `torch`.")
    precision: Mapped[str | None] = mapped_column(comment="Number format of the weights, e.g. `fp32`.")
    proof: Mapped[str | None] = mapped_column(
        comment=("Result of the check of the model's label order with the golden clips (recordings with known labels).")
    )
    policy: Mapped[dict[str, Any]] = mapped_column(comment="Thresholds that the service used for this verdict.")
    policy_version: Mapped[str] = mapped_column(
        comment="First 12 hex digits of the SHA-256 of policy. Equal thresholds have equal versions."
    )
    # `none_as_null`: without it, None becomes the JSON value null, which is not a null of SQL.
    evidence: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True),
        comment="Rhythm, beep, tones and music in the audio, see docs/evidence.md. Null if `decided` is false, if the "
        "audio is too short, or if an old version judged the recording.",
    )
    audio_sha256: Mapped[str] = mapped_column(comment="SHA-256 of the audio bytes that were read, in hex.")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), comment="Time when this row was inserted.")
