"""add Call Annotations

Revision ID: 0011
Revises: 0010
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "annotation",
        sa.Column("call_sid", sa.Text(), nullable=False, comment="CallSid of the call."),
        sa.Column(
            "answered_by",
            sa.Text(),
            nullable=False,
            comment="`human`, `machine`, or `unknown_answered_by`, which withdraws an earlier annotation.",
        ),
        sa.Column(
            "version",
            sa.Integer(),
            server_default=sa.text("1"),
            nullable=False,
            comment="Number of changes of answered_by, from 1.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="queued",
            nullable=False,
            comment="`queued`, `running`, `done` (Twilio has the annotation), `dead` (given up, see last_error).",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Number of requests. Requests that a shutdown interrupted are not counted.",
        ),
        sa.Column(
            "available_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Earliest time at which a worker may send the annotation: time of the review, end of the retry delay, or end of the current worker's lease.",
        ),
        sa.Column(
            "retry_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Time after which a failed request is not repeated: three days after the first one. Null until then.",
        ),
        sa.Column(
            "locked_by",
            sa.Text(),
            nullable=True,
            comment="Worker that sends the annotation, followed by `#` and a random token of the claim. Null unless state is `running`.",
        ),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="Error of the latest failed request. If state is `dead`: reason why the annotation was given up.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time of the first review.",
        ),
        sa.Column(
            "finished_at", sa.DateTime(timezone=True), nullable=True, comment="Time when state became `done` or `dead`."
        ),
        sa.CheckConstraint(
            "answered_by in ('human', 'machine', 'unknown_answered_by')", name=op.f("ck_annotation_answered_by")
        ),
        sa.CheckConstraint("state in ('queued', 'running', 'done', 'dead')", name=op.f("ck_annotation_state")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_annotation_version")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_annotation_attempts")),
        sa.CheckConstraint(
            "(locked_by is not null) = (state = 'running')", name=op.f("ck_annotation_locked_when_running")
        ),
        sa.CheckConstraint(
            "(finished_at is not null) = (state in ('done', 'dead'))", name=op.f("ck_annotation_finished_when_over")
        ),
        sa.CheckConstraint("last_error is not null or state <> 'dead'", name=op.f("ck_annotation_reason_when_dead")),
        sa.ForeignKeyConstraint(["call_sid"], ["call_log.call_sid"], name=op.f("fk_annotation_call_sid_call_log")),
        sa.PrimaryKeyConstraint("call_sid", name=op.f("pk_annotation")),
        comment="One row per call whose review is sent to Twilio as a Call Annotation (AMD_ANNOTATE_CALLS). Each row is also the job of sending it.",
    )
    op.create_index(
        "ix_annotation_due", "annotation", ["available_at"], postgresql_where=sa.text("state in ('queued', 'running')")
    )
    op.execute(
        "create trigger annotation_inserted after insert on annotation for each row "
        "execute function amd_notify_of_work()"
    )
    op.execute(
        "create trigger annotation_queued after update of state on annotation for each row "
        "when (new.state = 'queued' and old.state <> 'queued') execute function amd_notify_of_work()"
    )


def downgrade() -> None:
    op.drop_table("annotation")
