"""add the recording behind a verdict, and indexes for searches in large tables

Revision ID: 0004
Revises: 0003

While this migration runs, callbacks wait or get a 503. docs/versioning.md says for how long, and how to prepare a large
database, so that the migration takes milliseconds: every statement here skips what exists already.
"""
# ruff: noqa: E501

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The comment of each column after the upgrade, and the comment before.
COMMENTS = {
    "recording.state": (
        "`noted` (no audio to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (given up without a verdict, see failure).",
        "`noted` (no audio to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (given up, see failure).",
    ),
    "recording.last_failure": (
        "Value that is written to the column failure if no attempt is left after the latest error. If state is `done`: reason why the recording could not be judged again. Its earlier verdict stays.",
        "Value that is written to the column failure if no attempt is left after the latest error.",
    ),
    "recording.finished_at": (
        "Time when state became `done` or `dead`. While a recording that has a verdict is judged again, this is still the time of its last verdict. A worker claims such recordings last.",
        "Time when state became `done` or `dead`.",
    ),
}

RECORDING_SID = "RecordingSid of the recording whose model run gave the verdict. For a live verdict: the StreamSid (MZ…). Null if the call is not judged, or if an old version judged the call and the recording is not known."

INDEXES = {
    "ix_recording_due_first": "recording (available_at) where state in ('queued', 'running') and finished_at is null",
    "ix_recording_due_again": "recording (available_at) where state in ('queued', 'running') and finished_at is not null",
    "ix_recording_given_up": "recording (recording_sid) where state = 'dead'",
    "ix_call_log_answered_at": "call_log (answered_at)",
    "ix_call_log_to_number_created_at": "call_log (to_number, created_at)",
    "ix_call_log_judged_day": "call_log (((coalesce(answered_at, created_at) at time zone 'UTC')::date), call_sid) where label is not null",
}

# A `create index concurrently` that is interrupted leaves an invalid index, which no query uses.
DROP_IF_INVALID = """
do $$ begin
    if exists (select from pg_index where indexrelid = to_regclass('{name}') and not indisvalid) then
        drop index {name};
    end if;
end $$
"""

# `verdict_at` is a copy of the `created_at` of the model run that gave the verdict, so the two times are equal.
FILL = """
update call_log set recording_sid = recording.recording_sid
  from recording join verdict on verdict.recording_sid = recording.recording_sid
 where call_log.recording_sid is null
   and recording.call_sid = call_log.call_sid
   and verdict.decided
   and verdict.created_at = call_log.verdict_at
   and verdict.label = call_log.label
"""


def upgrade() -> None:
    op.execute("alter table call_log add column if not exists recording_sid text")
    comment_on("call_log.recording_sid", RECORDING_SID)
    op.execute(FILL)
    for name in INDEXES:
        op.execute(DROP_IF_INVALID.format(name=name))
    for name, definition in INDEXES.items():
        op.execute(f"create index if not exists {name} on {definition}")
    op.execute("drop index if exists ix_recording_due")
    for column, (comment, _) in COMMENTS.items():
        comment_on(column, comment)


def downgrade() -> None:
    for column, (_, comment) in COMMENTS.items():
        comment_on(column, comment)
    op.execute("create index ix_recording_due on recording (available_at) where state in ('queued', 'running')")
    for name in INDEXES:
        op.drop_index(name)
    op.drop_column("call_log", "recording_sid")


def comment_on(column: str, comment: str) -> None:
    op.execute(f"comment on column {column} is '{comment.replace(chr(39), chr(39) * 2)}'")
