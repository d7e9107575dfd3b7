"""add Twilio's AMD results, placed calls, live streams, actions, reconciliation and retention

Revision ID: 0002
Revises: 0001
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The comment of each column (table, column) after the upgrade, and the comment before.
COMMENTS = {
    ("call_log", "from_number"): (
        "Caller as Twilio gave it, usually E.164. With AMD_PHONE_NUMBERS=hash: `hmac:` and the first 32 hex digits of HMAC-SHA256(AMD_PHONE_NUMBER_KEY, number); with `drop`: null.",
        "Caller as Twilio gave it, usually E.164.",
    ),
    ("call_log", "to_number"): (
        "Called party as Twilio gave it, usually E.164; hashed or dropped like from_number.",
        "Called party as Twilio gave it, usually E.164.",
    ),
    ("call_log", "created_at"): (
        "When the call was first heard of: by its first callback, by being placed here, or by asking Twilio.",
        "When the first callback of this call came in.",
    ),
    ("call_log", "analysis_state"): (
        "`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody picked up; or a leg whose parent is judged).",
        "`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody picked up).",
    ),
    ("call_log", "verdict_ms"): (
        "Milliseconds to the verdict from the recording being put up for work, on its callback, or from the start of the live stream.",
        "Milliseconds from the recording being put up for work, on its callback, to its verdict.",
    ),
    ("callback", "route"): (
        "Where it came in: `status`, `recording`, `amd`; `rest` for what Twilio's API told.",
        "Where it came in: `status`, `recording`.",
    ),
    ("callback", "call_sid"): (
        "Twilio's CallSid; null for a recording of a conference, which names no call.",
        "Twilio's CallSid.",
    ),
    ("callback", "parameters"): (
        "All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD. Null once they were dropped for their age.",
        "All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD.",
    ),
    ("recording", "recording_sid"): (
        "Twilio's RecordingSid; of a live stream its StreamSid, MZ….",
        "Twilio's RecordingSid.",
    ),
    ("recording", "recording_status"): (
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays. Of a live stream `completed`, or `broken-off`: lost before its verdict stood, so a recording's comes first.",
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays.",
    ),
    ("recording", "source"): (
        "Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`: decides the called party's channel. `MediaStream` for a live stream.",
        "Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`: decides the called party's channel.",
    ),
}

ENDED = "('completed', 'busy', 'failed', 'no-answer', 'canceled')"


def upgrade() -> None:
    _create_tables()
    _add_columns()
    _add_constraints_and_indexes()
    for (table, column), (comment, before) in COMMENTS.items():
        op.alter_column(table, column, comment=comment, existing_comment=before)
    op.alter_column("callback", "call_sid", nullable=True)
    op.alter_column("callback", "parameters", nullable=True)
    op.execute(VIEW)
    for what, comment in VIEW_COMMENTS.items():
        op.execute(f"comment on {what} is '{comment.replace(chr(39), chr(39) * 2)}'")
    # The first sweep of these accounts is dated one hour back. Callbacks that Twilio could not deliver while this migration
    # locked the tables are then reconciled without a manual run.
    op.execute(
        "insert into sweep (account_sid, created_at)"
        " select distinct account_sid, now() - interval '1 hour' from call_log"
    )
    op.execute(
        """
        create trigger call_action_due after update of action_state on call_log for each row
        when (new.action_state = 'due' and old.action_state is distinct from 'due')
        execute function amd_notify_of_work()
        """
    )


def downgrade() -> None:
    op.execute("drop trigger call_action_due on call_log")
    op.execute("drop view call_log_agreement")
    # The older version cannot store streams or callbacks that name no call. It misreads callbacks of the route `amd`.
    op.execute("delete from verdict where source = 'stream'")
    op.execute("delete from recording where source = 'MediaStream'")
    op.execute("delete from callback where call_sid is null or route = 'amd'")
    op.execute("update callback set parameters = '[]' where parameters is null")
    op.alter_column("callback", "parameters", nullable=False)
    op.alter_column("callback", "call_sid", nullable=False)
    for (table, column), (comment, before) in COMMENTS.items():
        op.alter_column(table, column, comment=before, existing_comment=comment)
    op.drop_index("ix_callback_whole", table_name="callback")
    op.drop_index("ix_recording_to_erase", table_name="recording")
    op.drop_index("ix_call_log_open", table_name="call_log")
    op.drop_index("ix_call_log_action_due", table_name="call_log")
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column)
    op.drop_table("sweep")
    op.drop_table("call_request")


ADDED = {
    "call_log": (
        "parent_call_sid",
        "sip_response_code",
        "verdict_source",
        "answer_to_verdict_ms",
        "action",
        "action_state",
        "action_note",
        "action_at",
        "reconciled_at",
    ),
    "recording": (
        "erase_after",
        "erased_at",
    ),
    "verdict": ("source",),
}

VIEW = """
create view call_log_agreement as
select (coalesce(answered_at, created_at) at time zone 'UTC')::date as day,
       label,
       count(*) as calls,
       count(*) filter (where twilio_answered_by = 'human') as twilio_human,
       count(*) filter (where twilio_answered_by like 'machine%') as twilio_machine,
       count(*) filter (where twilio_answered_by <> 'human' and twilio_answered_by not like 'machine%')
           as twilio_other,
       count(*) filter (where label = 'human' and twilio_answered_by = 'human'
                           or label = 'voicemail' and twilio_answered_by like 'machine%') as agreed,
       count(*) filter (where label = 'human' and twilio_answered_by = 'human'
                           or label = 'voicemail' and twilio_answered_by like 'machine%')::double precision
           / nullif(count(*) filter (where label <> 'undecided' and (twilio_answered_by = 'human'
                                      or twilio_answered_by like 'machine%')), 0) as agreement
  from call_log
 where label is not null and twilio_answered_by is not null
 group by 1, 2
"""

VIEW_COMMENTS = {
    "view call_log_agreement": "Our verdicts beside Twilio's own answering-machine detection: a row a day and label, over the calls that have both. A view; the dashboard role may read it.",
    "column call_log_agreement.day": "Day of the answer, in UTC; of the call's first callback where the answer's time is not known.",
    "column call_log_agreement.label": "Our label: `human`, `voicemail` or `undecided`.",
    "column call_log_agreement.calls": "Calls of that day with that label on which Twilio gave an opinion.",
    "column call_log_agreement.twilio_human": "Of these, the calls Twilio took for a human.",
    "column call_log_agreement.twilio_machine": "Of these, the calls Twilio took for a machine (`machine_start`, `machine_end_…`).",
    "column call_log_agreement.twilio_other": "Of these, the calls on which Twilio took no side (`fax`, `unknown`).",
    "column call_log_agreement.agreed": "Calls on which both said the same. Our `undecided` agrees with nothing.",
    "column call_log_agreement.agreement": "`agreed` over the calls on which both took a side, 0 to 1; null where there is none.",
}


# fmt: off
def _create_tables() -> None:
    op.create_table('call_request',
        sa.Column('key', sa.Text(), nullable=False, comment='The Idempotency-Key; one of our own making where none was given.'),
        sa.Column('fingerprint', sa.Text(), nullable=False, comment="HMAC-SHA256, in hex and keyed with the account's REST secret, of what was asked for: the same key with another request is refused."),
        sa.Column('account_sid', sa.Text(), nullable=False, comment='Twilio account that places it.'),
        sa.Column('outcome', sa.Text(), nullable=False, comment='`pending` (Twilio is being asked, or the process died meanwhile), `placed`, `unknown` (its answer was lost).'),
        sa.Column('call_sid', sa.Text(), nullable=True, comment='The call; not null exactly when placed.'),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='When it was asked for.'),
        sa.CheckConstraint("(call_sid is not null) = (outcome = 'placed')", name=op.f('ck_call_request_sid_when_placed')),
        sa.CheckConstraint("outcome in ('pending', 'placed', 'unknown')", name=op.f('ck_call_request_outcome')),
        sa.PrimaryKeyConstraint('key', name=op.f('pk_call_request')),
        comment='Every call we asked Twilio to place: its Idempotency-Key, and what the rate limit counts.'
    )
    op.create_index(op.f('ix_call_request_created_at'), 'call_request', ['created_at'], unique=False)
    op.create_index(op.f('ix_call_request_call_sid'), 'call_request', ['call_sid'], unique=False)
    op.create_table('sweep',
        sa.Column('account_sid', sa.Text(), nullable=False, comment='The Twilio account.'),
        sa.Column('swept_until', sa.DateTime(timezone=True), nullable=True, comment='Calls and recordings made before it have been asked for. Null until the first sweep ended.'),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='When the account was first swept. Unheard-of calls that began before are taken in by hand only.'),
        sa.Column('available_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment='When the next sweep is due, or when the lease of the running one ends.'),
        sa.PrimaryKeyConstraint('account_sid', name=op.f('pk_sweep')),
        comment='One row an account: how far Twilio was asked for what its callbacks left out.'
    )


def _add_columns() -> None:
    op.add_column("call_log", sa.Column('parent_call_sid', sa.Text(), nullable=True, comment='The call whose `<Dial>` made this leg; its row has the recording and the verdict. Null for a call of its own.'))
    op.add_column("call_log", sa.Column('sip_response_code', sa.Integer(), nullable=True, comment='Final SIP code, e.g. 486 (busy), 487 (ring timeout), 404 (unreachable).'))
    op.add_column("call_log", sa.Column('verdict_source', sa.Text(), nullable=True, comment='What was listened to: `recording`, or `stream` (live). Null when not judged, or judged by a version that knew recordings only.'))
    op.add_column("call_log", sa.Column('answer_to_verdict_ms', sa.Integer(), nullable=True, comment='Milliseconds from answered_at to verdict_at. Twilio tells the answer in whole seconds, by its own clock. Null while either is unknown.'))
    op.add_column("call_log", sa.Column('action', sa.Text(), nullable=True, comment='What the deployment wanted done after this verdict: `hang_up` or `redirect`. Null for nothing.'))
    op.add_column("call_log", sa.Column('action_state', sa.Text(), nullable=True, comment='`due`, `sent` (its answer is not known: it may have been done), `done`, `refused` (the call was over, or Twilio would not), `failed` (nothing was done).'))
    op.add_column("call_log", sa.Column('action_note', sa.Text(), nullable=True, comment='Why it was refused or failed, or why it is not known whether it was done.'))
    op.add_column("call_log", sa.Column('action_at', sa.DateTime(timezone=True), nullable=True, comment='When action_state last changed.'))
    op.add_column("call_log", sa.Column('reconciled_at', sa.DateTime(timezone=True), nullable=True, comment='When Twilio was last asked, after the call had ended, for what its callbacks left out; null if never.'))
    op.add_column("recording", sa.Column('erase_after', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False, comment="When Twilio's copy may next be tried to be deleted, where that is wanted."))
    op.add_column("recording", sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True, comment="When Twilio's copy was deleted, or found gone."))
    op.add_column("verdict", sa.Column('source', sa.Text(), server_default=sa.text("'recording'"), nullable=False, comment='What was listened to: `recording`, or `stream` (live).'))


def _add_constraints_and_indexes() -> None:
    # One statement for all constraints, so that Postgres reads the table only once. Callbacks wait until the statement ends.
    checks = {
        "verdict_source": "verdict_source in ('recording', 'stream')",
        "source_when_judged": "verdict_source is null or analysis_state = 'judged'",
        "action": "action in ('hang_up', 'redirect')",
        "action_state": "action_state in ('due', 'sent', 'done', 'refused', 'failed')",
        "action_has_a_state": "(action is not null) = (action_state is not null)",
    }
    op.execute("alter table call_log " + ", ".join(f"add constraint ck_call_log_{name} check ({condition})" for name, condition in checks.items()))
    op.create_check_constraint(op.f("ck_verdict_source"), "verdict", "source in ('recording', 'stream')")
    op.create_index("ix_call_log_action_due", "call_log", ["verdict_at"], postgresql_where=sa.text("action_state = 'due'"))
    op.create_index("ix_call_log_open", "call_log", ["created_at"], postgresql_where=sa.text(f"analysis_state = 'waiting' or call_status is null or call_status not in {ENDED}"))
    op.create_index("ix_recording_to_erase", "recording", ["erase_after"], postgresql_where=sa.text("state = 'done' and erased_at is null and source is distinct from 'MediaStream'"))
    op.create_index("ix_callback_whole", "callback", ["received_at"], postgresql_where=sa.text("parameters is not null"))
# fmt: on
