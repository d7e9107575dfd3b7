"""Table `call_log`: one row per call. Dashboards depend on its columns."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from amd_service.calls.tables.base import Base, closed_set, one_of, probability, sql_list
from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    VERDICT_SOURCES,
    ActionKind,
    ActionState,
    AnalysisState,
    Failure,
    Heard,
    Label,
    Reason,
)

# SQL condition of an open call: its analysis may still change, or it has no terminal status yet.
OPEN = f"analysis_state = 'waiting' or call_status is null or call_status not in {sql_list(TERMINAL_CALL_STATUSES)}"

# SQL expression: the day of the answer, in UTC. If the time of the answer is not known: day of created_at. The column
# `day` of the view call_log_agreement repeats it word for word, because Postgres then uses the index.
DAY = "((coalesce(answered_at, created_at) at time zone 'UTC')::date)"
# SQL condition of a call whose action is not requested from Twilio yet.
ACTION_DUE = "action_state = 'due'"

# SQL condition of a call that nobody answered.
UNANSWERED = "call_status in ('busy', 'failed', 'no-answer', 'canceled')"
# SQL condition of a call that is being analysed, or whose analysis has failed.
UNDER_ANALYSIS_OR_FAILED = "analysis_state in ('queued', 'running', 'failed')"
# SQL condition of a call with tags. A query must repeat it word for word, because Postgres then uses the index.
TAGGED = "call_log.tags <> '{}'"

# SQL condition of a call that can be drawn for review.
JUDGED = "label is not null"
# SQL condition of a call on which Twilio's detection has the opposite result, as the view call_log_agreement counts it.
DISAGREEMENT = (
    "(call_log.label = 'human' and call_log.twilio_answered_by like 'machine%' or call_log.label = 'voicemail' and "
    "call_log.twilio_answered_by = 'human')"
)

_DECIDED = one_of("reason", (Reason.CONFIDENT, Reason.BEEP))
_NO_MODEL_RAN = one_of("reason", (Reason.NO_SPEECH, Reason.TOO_SHORT))


class CallLog(Base):
    """One call: the facts that Twilio reported, and our verdict."""

    __tablename__ = "call_log"
    __table_args__ = (
        closed_set("analysis_state", AnalysisState),
        closed_set("label", Label),
        # Only a judged call has a label. A failed call has none.
        CheckConstraint("(label is not null) = (analysis_state = 'judged')", name="label_when_judged"),
        CheckConstraint(
            f"case analysis_state when 'judged' then reason is not null and {one_of('reason', Reason)}"
            f" when 'failed' then reason is not null and {one_of('reason', Failure)} else reason is null end",
            name="reason_fits_state",
        ),
        CheckConstraint(f"label is null or (label = 'undecided') = (not {_DECIDED})", name="reason_fits_label"),
        probability("confidence"),
        CheckConstraint(
            f"(confidence is null) = (label is null or {_NO_MODEL_RAN})",
            name="confidence_when_a_model_ran",
        ),
        CheckConstraint("(verdict_at is not null) = (analysis_state = 'judged')", name="verdict_at_when_judged"),
        closed_set("verdict_source", VERDICT_SOURCES),
        # A judged call may have no source: after the migration, a process of the older version can still be running,
        # and it does not write the source.
        CheckConstraint("verdict_source is null or analysis_state = 'judged'", name="source_when_judged"),
        closed_set("heard", Heard),
        closed_set("action", ActionKind),
        closed_set("action_state", ActionState),
        CheckConstraint("(action is not null) = (action_state is not null)", name="action_has_a_state"),
        Index(None, "created_at"),
        Index(None, "answered_at"),
        # For the search for the calls to one number, newest first.
        Index(None, "to_number", "created_at"),
        # For `call_log_agreement`.
        Index("ix_call_log_judged_day", text(DAY), "call_sid", postgresql_where=text("label is not null")),
        # Partial indexes, so that the search for open calls stays fast with a million finished calls in the table.
        Index("ix_call_log_action_due", "verdict_at", postgresql_where=text(ACTION_DUE)),
        Index("ix_call_log_open", "created_at", postgresql_where=text(OPEN)),
        # For the filters of the list of calls. They are partial, so that a callback writes only to those that concern
        # its call. A filter for a common value reads the index on created_at instead.
        Index(None, "label", "confidence", postgresql_where=text(JUDGED)),
        Index(None, "reason", "created_at", postgresql_where=text("reason <> 'confident'")),
        Index(None, "call_status", "created_at", postgresql_where=text(UNANSWERED)),
        Index(None, "analysis_state", "created_at", postgresql_where=text(UNDER_ANALYSIS_OR_FAILED)),
        Index(None, "campaign", "created_at", postgresql_where=text("campaign is not null")),
        # For a label in one campaign. Without it, a label that the campaign does not have is searched in all its calls.
        Index(None, "campaign", "label", "created_at", postgresql_where=text(f"campaign is not null and {JUDGED}")),
        Index(None, "tags", postgresql_using="gin", postgresql_where=text(TAGGED)),
        Index("ix_call_log_disagreement", "created_at", postgresql_where=text(DISAGREEMENT)),
        # A number that is random but fixed for a call. Calls are drawn for review in its order.
        Index("ix_call_log_review_order", text("hashtextextended(call_sid, 0)"), postgresql_where=text(JUDGED)),
        {
            "comment": (
                "One row per call: the facts that Twilio reported, and the verdict whether a human or a voicemail "
                "answered."
            )
        },
    )

    call_sid: Mapped[str] = mapped_column(primary_key=True, comment="Twilio's CallSid.")
    account_sid: Mapped[str] = mapped_column(comment="Twilio account or subaccount that the call belongs to.")
    parent_call_sid: Mapped[str | None] = mapped_column(
        comment="CallSid of the call whose `<Dial>` created this leg. The parent's row has the recording "
        "and the verdict. Null for a call that no other call dialled."
    )
    direction: Mapped[str | None] = mapped_column(
        comment="Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until Twilio reports a direction."
    )
    from_number: Mapped[str | None] = mapped_column(
        comment="Caller as reported by Twilio, usually E.164. With AMD_PHONE_NUMBERS=hash: `hmac:` and "
        "the first 32 hex digits of HMAC-SHA256(AMD_PHONE_NUMBER_KEY, number). With "
        "AMD_PHONE_NUMBERS=drop: null."
    )
    to_number: Mapped[str | None] = mapped_column(
        comment="Called party as reported by Twilio, usually E.164. Hashed or dropped like from_number."
    )
    call_status: Mapped[str | None] = mapped_column(
        comment="Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, "
        "`completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal status never changes. "
        "Null until Twilio reports a status."
    )
    started_at: Mapped[datetime | None] = mapped_column(
        comment="Start of the call: time of Twilio's first event before the answer."
    )
    answered_at: Mapped[datetime | None] = mapped_column(comment="Time of the answer, by a human or a machine.")
    ended_at: Mapped[datetime | None] = mapped_column(comment="End of the call.")
    duration_s: Mapped[int | None] = mapped_column(comment="Twilio's CallDuration, in seconds.")
    sip_response_code: Mapped[int | None] = mapped_column(
        comment="Final SIP code, e.g. 486 (busy), 487 (ring timeout), 404 (unreachable)."
    )
    twilio_answered_by: Mapped[str | None] = mapped_column(
        comment="Result of Twilio's own answering-machine detection (AnsweredBy), for comparison. Null if "
        "Twilio reported no result."
    )
    twilio_amd_ms: Mapped[int | None] = mapped_column(
        comment="Duration of Twilio's own detection (MachineDetectionDuration), in milliseconds."
    )
    analysis_state: Mapped[str] = mapped_column(
        comment="`waiting` (no recording yet), `queued`, `running`, `judged` (has a verdict), `failed` "
        "(see reason), `not_applicable` (nobody answered: busy, no-answer, canceled or failed; or "
        "a leg whose parent call has the recording)."
    )
    label: Mapped[str | None] = mapped_column(
        comment="`human`, `voicemail` or `undecided`. Has a value if and only if analysis_state is `judged`."
    )
    confidence: Mapped[float | None] = mapped_column(
        comment="Probability of the top class in the model run that produced the verdict, from 0 to 1. Also set "
        "if the label is `undecided`. With reason `beep`: probability of voicemail. Null if no model ran (reason "
        "`no_speech` or `too_short`) or if the call is not judged."
    )
    reason: Mapped[str | None] = mapped_column(
        comment="If judged: `confident`, `beep` (a beep after speech made it a voicemail), `low_confidence`, "
        "`disagreement` (the rhythm of speech or a shorter window contradicts the model), `no_speech`, `too_short`. If "
        "failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, "
        "`external_storage`, `undecodable`, `model_failed`, `gave_up`. Null in all other states."
    )
    channels_mixed: Mapped[bool | None] = mapped_column(
        comment=("True if the called party's channel was not known. Both parties were then judged as one mixed signal.")
    )
    model_id: Mapped[str | None] = mapped_column(comment="Model that produced the verdict. Null if no model ran.")
    model_revision: Mapped[str | None] = mapped_column(
        comment="Resolved commit of a model from the Hugging Face hub. Null for a model from a folder."
    )
    verdict_at: Mapped[datetime | None] = mapped_column(comment="Time when the verdict was written.")
    verdict_ms: Mapped[int | None] = mapped_column(
        comment="Milliseconds until the verdict, counted from the enqueueing of the recording or from the "
        "start of the live stream."
    )
    verdict_source: Mapped[str | None] = mapped_column(
        comment="Basis of the verdict: `recording`, or `stream` (live). Null if the call is not judged, or if an "
        "old version that supported only recordings judged the call."
    )
    # Without a foreign key and a check constraint. A foreign key would make the two tables depend on each other. And
    # after the migration, a process of the older version can still be running, and it does not clear this column.
    recording_sid: Mapped[str | None] = mapped_column(
        comment="RecordingSid of the recording whose model run gave the verdict. For a live verdict: the StreamSid "
        "(MZ…). Null if the call is not judged, or if an old version judged the call and the recording is not known."
    )
    answer_to_verdict_ms: Mapped[int | None] = mapped_column(
        comment="Milliseconds from answered_at to verdict_at. Twilio reports answered_at in whole "
        "seconds, by Twilio's clock. Null if one of the two times is unknown."
    )
    action: Mapped[str | None] = mapped_column(
        comment=("Action scheduled after this verdict: `hang_up` or `redirect`. Null if no action was scheduled.")
    )
    action_state: Mapped[str | None] = mapped_column(
        comment="`due` (not requested from Twilio yet), `sent` (requested, but the response is not known, "
        "so Twilio may have executed the action), `done`, `refused` (too late, or refused by "
        "Twilio), `failed` (nothing was done)."
    )
    action_note: Mapped[str | None] = mapped_column(
        comment="Reason why the action was refused or failed, or why its outcome is not known."
    )
    action_at: Mapped[datetime | None] = mapped_column(comment="Time when action_state last changed.")
    reconciled_at: Mapped[datetime | None] = mapped_column(
        comment="Time when Twilio's API was last queried for lost callbacks after the call had ended. "
        "Null if never queried."
    )
    campaign: Mapped[str | None] = mapped_column(
        comment="Campaign of the call, from the request that placed the call, or else from the URLs of its callbacks. "
        "Null without a campaign."
    )
    tags: Mapped[list[str]] = mapped_column(
        ARRAY(Text()),
        server_default=text("'{}'"),
        comment="Tags of the call, from the same URLs, sorted. Empty without tags.",
    )
    events: Mapped[int] = mapped_column(
        server_default=text("0"),
        comment="Number of events of the call, see docs/deliveries.md. Events exist only while "
        "AMD_DELIVERY_URL is set.",
    )
    # Without a check that it fits the label: after the migration, a process of the older version does not clear it.
    heard: Mapped[str | None] = mapped_column(
        comment="Only kind of sound in a judged call without speech: `ringback`, `busy`, `fax`, `music`, or a special "
        "information tone: `sit_vacant` (number does not exist), `sit_intercept` (number changed or disconnected), "
        "`sit_reorder`, `sit_no_circuit` (network busy), `sit_ineffective`, `sit_other`. Null for other calls."
    )
    created_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="Time when this service first stored the call: from a callback, a live stream, its own call "
        "request or Twilio's API.",
    )
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), comment="Time when this row last changed."
    )
