"""create tables

Revision ID: 0001
Revises:

Each column is one long line, so that the columns can be compared.
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_call_log()
    _create_callback()
    _create_recording()
    _create_verdict()
    _notify_of_work()


def downgrade() -> None:
    for table in ("verdict", "recording", "callback", "call_log"):
        op.drop_table(table)
    op.execute("drop function amd_notify_of_work()")


# fmt: off
def _create_call_log() -> None:
    op.create_table(
        "call_log",
        sa.Column("call_sid", sa.Text(), nullable=False, comment="Twilio's CallSid."),
        sa.Column("account_sid", sa.Text(), nullable=False, comment="Twilio account or subaccount the call belongs to."),
        sa.Column("direction", sa.Text(), comment="Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until a status callback told it."),
        sa.Column("from_number", sa.Text(), comment="Caller as Twilio gave it, usually E.164."),
        sa.Column("to_number", sa.Text(), comment="Called party as Twilio gave it, usually E.164."),
        sa.Column("call_status", sa.Text(), comment="Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal one stays. Null when only a recording callback came so far."),
        sa.Column("started_at", sa.DateTime(timezone=True), comment="When Twilio began the call: time of its first event before the answer."),
        sa.Column("answered_at", sa.DateTime(timezone=True), comment="When somebody or something picked up."),
        sa.Column("ended_at", sa.DateTime(timezone=True), comment="When the call ended."),
        sa.Column("duration_s", sa.Integer(), comment="Twilio's CallDuration, in seconds."),
        sa.Column("twilio_answered_by", sa.Text(), comment="Twilio's own answering-machine detection (AnsweredBy), where it was switched on; for comparison."),
        sa.Column("twilio_amd_ms", sa.Integer(), comment="How long Twilio's own detection took (MachineDetectionDuration), in milliseconds."),
        sa.Column("analysis_state", sa.Text(), nullable=False, comment="`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody picked up)."),
        sa.Column("label", sa.Text(), comment="`human`, `voicemail` or `undecided`; not null exactly when analysis_state is `judged`."),
        sa.Column("confidence", sa.DOUBLE_PRECISION(), comment="Probability of the top class in the deciding model run, 0 to 1, also when undecided. Null when no model ran (reason `no_speech` or `too_short`) and when not judged."),
        sa.Column("reason", sa.Text(), comment="When judged: `confident`, `low_confidence`, `no_speech`, `too_short`. When failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null otherwise."),
        sa.Column("channels_mixed", sa.Boolean(), comment="True when the called party could not be told from the caller: both were judged as one sound."),
        sa.Column("model_id", sa.Text(), comment="Model of the deciding run. Null when no model ran."),
        sa.Column("model_revision", sa.Text(), comment="Resolved commit of a model from the hub; null for a model from a folder."),
        sa.Column("verdict_at", sa.DateTime(timezone=True), comment="When the verdict was written."),
        sa.Column("verdict_ms", sa.Integer(), comment="Milliseconds from the recording being put up for work, on its callback, to its verdict."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When the first callback of this call came in."),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When this row last changed."),
        sa.PrimaryKeyConstraint("call_sid", name=op.f("pk_call_log")),
        sa.CheckConstraint("(confidence is null) = (label is null or reason in ('no_speech', 'too_short'))", name=op.f("ck_call_log_confidence_when_a_model_ran")),
        sa.CheckConstraint("(label is not null) = (analysis_state = 'judged')", name=op.f("ck_call_log_label_when_judged")),
        sa.CheckConstraint("(verdict_at is not null) = (analysis_state = 'judged')", name=op.f("ck_call_log_verdict_at_when_judged")),
        sa.CheckConstraint("analysis_state in ('waiting', 'queued', 'running', 'judged', 'failed', 'not_applicable')", name=op.f("ck_call_log_analysis_state")),
        sa.CheckConstraint("case analysis_state when 'judged' then reason is not null and reason in ('confident', 'low_confidence', 'no_speech', 'too_short') when 'failed' then reason is not null and reason in ('no_recording', 'recording_failed', 'media_missing', 'unauthorised', 'encrypted', 'external_storage', 'undecodable', 'model_failed', 'gave_up') else reason is null end", name=op.f("ck_call_log_reason_fits_state")),
        sa.CheckConstraint("confidence >= 0 and confidence <= 1", name=op.f("ck_call_log_confidence")),
        sa.CheckConstraint("label in ('human', 'voicemail', 'undecided')", name=op.f("ck_call_log_label")),
        sa.CheckConstraint("label is null or (label = 'undecided') = (reason <> 'confident')", name=op.f("ck_call_log_reason_fits_label")),
        comment="One row a call: what Twilio says about it, and whether a human or a voicemail picked up.",
    )
    op.create_index(op.f("ix_call_log_created_at"), "call_log", ["created_at"])


def _create_callback() -> None:
    op.create_table(
        "callback",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of arrival."),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256, in hex, of the route and the sorted decoded parameters: what makes it unique."),
        sa.Column("route", sa.Text(), nullable=False, comment="Where it came in: `status`, `recording`."),
        sa.Column("call_sid", sa.Text(), nullable=False, comment="Twilio's CallSid."),
        sa.Column("recording_sid", sa.Text(), comment="Twilio's RecordingSid; null for a callback about the call itself."),
        sa.Column("account_sid", sa.Text(), nullable=False, comment="Twilio account or subaccount that signed it."),
        sa.Column("parameters", JSONB(), nullable=False, comment="All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD."),
        sa.Column("facts", JSONB(), nullable=False, comment="What was understood of it; a key is absent where the callback said nothing."),
        sa.Column("idempotency_token", sa.Text(), comment="The I-Twilio-Idempotency-Token header. Not signed by Twilio, so nothing depends on it."),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When it first came in."),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback")),
        sa.UniqueConstraint("sha256", name=op.f("uq_callback_sha256")),
        comment="Every accepted webhook request as it came, once: a repeated delivery leaves no second row.",
    )
    op.create_index(op.f("ix_callback_call_sid"), "callback", ["call_sid"])
    op.create_index(op.f("ix_callback_received_at"), "callback", ["received_at"])


def _create_recording() -> None:
    op.create_table(
        "recording",
        sa.Column("recording_sid", sa.Text(), nullable=False, comment="Twilio's RecordingSid."),
        sa.Column("call_sid", sa.Text(), nullable=False, comment="The call it belongs to."),
        sa.Column("account_sid", sa.Text(), nullable=False, comment="Twilio account or subaccount whose credentials fetch it."),
        sa.Column("recording_status", sa.Text(), comment="Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays."),
        sa.Column("source", sa.Text(), comment="Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`: decides the called party's channel."),
        sa.Column("track", sa.Text(), comment="Twilio's RecordingTrack: `inbound`, `outbound` or `both`."),
        sa.Column("channels", sa.Integer(), comment="Twilio's RecordingChannels."),
        sa.Column("started_at", sa.DateTime(timezone=True), comment="Twilio's RecordingStartTime; orders the recordings of a call."),
        sa.Column("duration_s", sa.Integer(), comment="Twilio's RecordingDuration, in seconds."),
        sa.Column("error_code", sa.Integer(), comment="Twilio's ErrorCode; 0 means none."),
        sa.Column("state", sa.Text(), nullable=False, comment="`noted` (nothing to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (see failure)."),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="How often a worker has claimed it."),
        sa.Column("available_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When it may be claimed: now, after a retry's delay, or when the lease of its worker runs out."),
        sa.Column(
            "locked_by",
            sa.Text(),
            comment="The worker that holds it, `#` and a mark of this claim; null unless running.",
        ),
        sa.Column("last_error", sa.Text(), comment="What went wrong in the latest attempt that failed."),
        sa.Column("last_failure", sa.Text(), comment="The reason that will be written if the attempts run out on the latest error."),
        sa.Column("failure", sa.Text(), comment="Why it could not be judged; not null exactly when dead."),
        sa.Column("queued_at", sa.DateTime(timezone=True), comment="When it was first put up for work."),
        sa.Column("finished_at", sa.DateTime(timezone=True), comment="When it became done or dead."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When its first callback came in."),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When this row last changed."),
        sa.PrimaryKeyConstraint("recording_sid", name=op.f("pk_recording")),
        sa.ForeignKeyConstraint(["call_sid"], ["call_log.call_sid"], name=op.f("fk_recording_call_sid_call_log")),
        sa.CheckConstraint("(failure is not null) = (state = 'dead')", name=op.f("ck_recording_failure_when_dead")),
        sa.CheckConstraint("(locked_by is not null) = (state = 'running')", name=op.f("ck_recording_locked_when_running")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_recording_attempts")),
        sa.CheckConstraint("failure in ('no_recording', 'recording_failed', 'media_missing', 'unauthorised', 'encrypted', 'external_storage', 'undecodable', 'model_failed', 'gave_up')", name=op.f("ck_recording_failure")),
        sa.CheckConstraint("last_failure in ('no_recording', 'recording_failed', 'media_missing', 'unauthorised', 'encrypted', 'external_storage', 'undecodable', 'model_failed', 'gave_up')", name=op.f("ck_recording_last_failure")),
        sa.CheckConstraint("state in ('noted', 'queued', 'running', 'done', 'dead')", name=op.f("ck_recording_state")),
        comment="One row a recording, which is also the job of judging it.",
    )
    op.create_index(op.f("ix_recording_call_sid"), "recording", ["call_sid"])
    op.create_index(op.f("ix_recording_due"), "recording", ["available_at"], postgresql_where=sa.text("state in ('queued', 'running')"))


def _create_verdict() -> None:
    op.create_table(
        "verdict",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Order of writing."),
        sa.Column("recording_sid", sa.Text(), nullable=False, comment="The recording that was judged."),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The job's attempt this came from."),
        sa.Column("run_number", sa.Integer(), nullable=False, comment="Which run of that attempt, from 1; 0 when no model ran."),
        sa.Column("decided", sa.Boolean(), nullable=False, comment="Whether the verdict rests on this run: the last of its attempt."),
        sa.Column("label", sa.Text(), comment="`human`, `voicemail` or `undecided`; on the deciding run only."),
        sa.Column("confidence", sa.DOUBLE_PRECISION(), comment="Probability of the top class, 0 to 1; null when no model ran, and on runs that did not decide."),
        sa.Column("reason", sa.Text(), comment="`confident`, `low_confidence`, `no_speech` or `too_short`; on the deciding run only."),
        sa.Column("channel", sa.Integer(), comment="Judged channel, from 1; null when the audio was mixed down."),
        sa.Column("channels_mixed", sa.Boolean(), nullable=False, comment="True when caller and called party were judged as one sound."),
        sa.Column("onset_ms", sa.Integer(), comment="Where speech begins in the recording, in milliseconds; null when none was found."),
        sa.Column("window_start_ms", sa.Integer(), comment="Where the window begins in the recording, in ms."),
        sa.Column("window_ms", sa.Integer(), comment="Length of the window given to the model, in ms."),
        sa.Column("human_score", sa.DOUBLE_PRECISION(), comment="Probability of human in this run."),
        sa.Column("voicemail_score", sa.DOUBLE_PRECISION(), comment="Probability of voicemail in this run."),
        sa.Column("inference_ms", sa.DOUBLE_PRECISION(), comment="Milliseconds the model took."),
        sa.Column("model_id", sa.Text(), comment="Hub id or folder of the model."),
        sa.Column("model_revision", sa.Text(), comment="Resolved commit of a hub model; null for a model from a folder."),
        sa.Column("weights_sha256", sa.Text(), comment="SHA-256 of the weights file, in hex."),
        sa.Column("engine", sa.Text(), comment="Inference engine, e.g. `torch`."),
        sa.Column("precision", sa.Text(), comment="Number format of the weights, e.g. `fp32`."),
        sa.Column("proof", sa.Text(), comment="What the golden clips said about the model's label order."),
        sa.Column("policy", JSONB(), nullable=False, comment="The thresholds that were in force."),
        sa.Column("policy_version", sa.Text(), nullable=False, comment="First 12 hex digits of the SHA-256 of policy: equal exactly when the thresholds are."),
        sa.Column("audio_sha256", sa.Text(), nullable=False, comment="SHA-256 of the audio bytes that were read, in hex."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When it was written."),
        sa.ForeignKeyConstraint(["recording_sid"], ["recording.recording_sid"], name=op.f("fk_verdict_recording_sid_recording")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.CheckConstraint("confidence >= 0 and confidence <= 1", name=op.f("ck_verdict_confidence")),
        sa.CheckConstraint("decided = (label is not null) and decided = (reason is not null)", name=op.f("ck_verdict_label_when_decided")),
        sa.CheckConstraint("human_score >= 0 and human_score <= 1", name=op.f("ck_verdict_human_score")),
        sa.CheckConstraint("label in ('human', 'voicemail', 'undecided')", name=op.f("ck_verdict_label")),
        sa.CheckConstraint("not decided or (confidence is null) = (reason in ('no_speech', 'too_short'))", name=op.f("ck_verdict_confidence_when_a_model_ran")),
        sa.CheckConstraint("num_nonnulls(window_start_ms, window_ms, human_score, voicemail_score, inference_ms, model_id, weights_sha256, engine, precision, proof) in (0, 10)", name=op.f("ck_verdict_whole_run")),
        sa.CheckConstraint("reason in ('confident', 'low_confidence', 'no_speech', 'too_short')", name=op.f("ck_verdict_reason")),
        sa.CheckConstraint("voicemail_score >= 0 and voicemail_score <= 1", name=op.f("ck_verdict_voicemail_score")),
        comment="Every model run; a verdict without one (no speech, too short) leaves a row without scores.",
    )
    op.create_index(op.f("ix_verdict_recording_sid"), "verdict", ["recording_sid"])


# fmt: on


def _notify_of_work() -> None:
    """Wake the workers when a recording is enqueued, requeued or retried.

    After a retry the workers must read the new delay. The triggers are row triggers, because a statement trigger sees
    neither the old nor the new row. Postgres sends equal notifications of one transaction only once.
    """
    op.execute(
        """
        create function amd_notify_of_work() returns trigger language plpgsql as
        $$ begin perform pg_notify('amd_work', ''); return null; end $$
        """
    )
    op.execute(
        """
        create trigger recording_inserted after insert on recording for each row
        when (new.state = 'queued') execute function amd_notify_of_work()
        """
    )
    op.execute(
        """
        create trigger recording_queued after update of state on recording for each row
        when (new.state = 'queued' and old.state <> 'queued') execute function amd_notify_of_work()
        """
    )
