"""`call_log`: one row per call, the contract with dashboards."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set, one_of, probability, sql_list
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    ActionKind,
    ActionState,
    AnalysisState,
    Failure,
    Label,
    Reason,
    Source,
)

# SQL: Twilio or a worker may still add something to the call.
OPEN = f"analysis_state = 'waiting' or call_status is null or call_status not in {sql_list(TERMINAL_CALL_STATUSES)}"

_NO_MODEL_RAN = one_of("reason", (Reason.NO_SPEECH, Reason.TOO_SHORT))


class CallLog(Base):
    """One row per call: Twilio's report of it, and our verdict."""

    __tablename__ = "call_log"
    __table_args__ = (
        closed_set("analysis_state", AnalysisState),
        closed_set("label", Label),
        # A failed call has no label, and a label needs a verdict.
        CheckConstraint("(label is not null) = (analysis_state = 'judged')", name="label_when_judged"),
        CheckConstraint(
            f"case analysis_state when 'judged' then reason is not null and {one_of('reason', Reason)}"
            f" when 'failed' then reason is not null and {one_of('reason', Failure)} else reason is null end",
            name="reason_fits_state",
        ),
        CheckConstraint("label is null or (label = 'undecided') = (reason <> 'confident')", name="reason_fits_label"),
        probability("confidence"),
        CheckConstraint(
            f"(confidence is null) = (label is null or {_NO_MODEL_RAN})",
            name="confidence_when_a_model_ran",
        ),
        CheckConstraint("(verdict_at is not null) = (analysis_state = 'judged')", name="verdict_at_when_judged"),
        closed_set("verdict_source", Source),
        # In one direction only: a process of the older version, still running after the migration, leaves it null.
        CheckConstraint("verdict_source is null or analysis_state = 'judged'", name="source_when_judged"),
        closed_set("action", ActionKind),
        closed_set("action_state", ActionState),
        CheckConstraint("(action is not null) = (action_state is not null)", name="action_has_a_state"),
        Index(None, "created_at"),
        # Partial indexes: finding open calls stays fast beside a million finished ones.
        Index("ix_call_log_action_due", "verdict_at", postgresql_where=text("action_state = 'due'")),
        Index("ix_call_log_open", "created_at", postgresql_where=text(OPEN)),
        {"comment": "One row per call: Twilio's report of it, and whether a human or a voicemail answered."},
    )

    call_sid: Mapped[str] = mapped_column(primary_key=True, comment="Twilio's CallSid.")
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount the call belongs to.")
    parent_call_sid: Mapped[str | None] = mapped_column(
        comment="The call whose `<Dial>` made this leg; its row has the recording and the verdict. Null for a call "
        "that no other call dialled."
    )
    direction: Mapped[str | None] = mapped_column(
        comment="Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until a status callback reported it."
    )
    from_number: Mapped[str | None] = mapped_column(
        comment="Caller as Twilio gave it, usually E.164. With AMD_PHONE_NUMBERS=hash: `hmac:` and the first 32 hex "
        "digits of HMAC-SHA256(AMD_PHONE_NUMBER_KEY, number); with `drop`: null."
    )
    to_number: Mapped[str | None] = mapped_column(
        comment="Called party as Twilio gave it, usually E.164; hashed or dropped like from_number."
    )
    call_status: Mapped[str | None] = mapped_column(
        comment="Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, "
        "`busy`, `failed`, `no-answer`, `canceled`. A terminal one stays. "
        "Null while only a recording callback has arrived."
    )
    started_at: Mapped[datetime | None] = mapped_column(
        comment="When Twilio began the call: time of its first event before the answer."
    )
    answered_at: Mapped[datetime | None] = mapped_column(comment="When the call was answered, by a human or a machine.")
    ended_at: Mapped[datetime | None] = mapped_column(comment="When the call ended.")
    duration_s: Mapped[int | None] = mapped_column(comment="Twilio's CallDuration, in seconds.")
    sip_response_code: Mapped[int | None] = mapped_column(
        comment="Final SIP code, e.g. 486 (busy), 487 (ring timeout), 404 (unreachable)."
    )
    twilio_answered_by: Mapped[str | None] = mapped_column(
        comment="Result of Twilio's own answering-machine detection (AnsweredBy), if it was enabled; for comparison."
    )
    twilio_amd_ms: Mapped[int | None] = mapped_column(
        comment="How long Twilio's own detection took (MachineDetectionDuration), in milliseconds."
    )
    analysis_state: Mapped[str] = mapped_column(
        comment="`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), "
        "`not_applicable` (busy, no-answer, canceled, failed: nobody answered; or a leg whose parent is judged)."
    )
    label: Mapped[str | None] = mapped_column(
        comment="`human`, `voicemail` or `undecided`; not null exactly when analysis_state is `judged`."
    )
    confidence: Mapped[float | None] = mapped_column(
        comment="Probability of the top class in the deciding model run, 0 to 1, also when undecided. "
        "Null when no model ran (reason `no_speech` or `too_short`) and when not judged."
    )
    reason: Mapped[str | None] = mapped_column(
        comment="When judged: `confident`, `low_confidence`, `no_speech`, `too_short`. When failed: `no_recording`, "
        "`recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, "
        "`model_failed`, `gave_up`. Null otherwise."
    )
    channels_mixed: Mapped[bool | None] = mapped_column(
        comment="True if the called party's channel was not known, so that both parties were judged as one mixed "
        "signal."
    )
    model_id: Mapped[str | None] = mapped_column(comment="Model of the deciding run. Null when no model ran.")
    model_revision: Mapped[str | None] = mapped_column(
        comment="Resolved commit of a model from the hub; null for a model from a folder."
    )
    verdict_at: Mapped[datetime | None] = mapped_column(comment="When the verdict was written.")
    verdict_ms: Mapped[int | None] = mapped_column(
        comment="Milliseconds to the verdict: from when a callback enqueued the recording, or from the start of the "
        "live stream."
    )
    verdict_source: Mapped[str | None] = mapped_column(
        comment="Basis of the verdict: `recording`, or `stream` (live). Null when not judged, or judged by a version "
        "that knew recordings only."
    )
    answer_to_verdict_ms: Mapped[int | None] = mapped_column(
        comment="Milliseconds from answered_at to verdict_at. Twilio reports the answer in whole seconds, by its own "
        "clock. Null while either is unknown."
    )
    action: Mapped[str | None] = mapped_column(
        comment="Action scheduled after this verdict: `hang_up` or `redirect`. Null for none."
    )
    action_state: Mapped[str | None] = mapped_column(
        comment="`due`, `sent` (Twilio's response is not known: it may have been done), `done`, `refused` (it was "
        "too late, or Twilio refused it), `failed` (nothing was done)."
    )
    action_note: Mapped[str | None] = mapped_column(
        comment="Why it was refused or failed, or why its outcome is not known."
    )
    action_at: Mapped[datetime | None] = mapped_column(comment="When action_state last changed.")
    reconciled_at: Mapped[datetime | None] = mapped_column(
        comment="When Twilio's API was last queried, after the call had ended, for callbacks that were lost; null if "
        "never."
    )
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="When the call was first seen: in a callback, when this service placed it, or in Twilio's API.",
    )
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), comment="When this row last changed."
    )
