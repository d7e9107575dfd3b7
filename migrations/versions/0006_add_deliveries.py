"""add deliveries

Revision ID: 0006
Revises: 0005
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

EVENTS = "Number of events of the call, see docs/deliveries.md. Events exist only while AMD_DELIVERY_URL is set."


def upgrade() -> None:
    # Postgres adds a column with a constant default without a rewrite of the table.
    op.add_column(
        "call_log", sa.Column("events", sa.Integer(), server_default=sa.text("0"), nullable=False, comment=EVENTS)
    )
    _create_table()
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["url", "available_at"],
        postgresql_where=sa.text("state in ('queued', 'running')"),
    )
    op.create_index(
        "ix_delivery_finished", "delivery", ["finished_at"], postgresql_where=sa.text("finished_at is not null")
    )
    op.create_index("ix_delivery_dead", "delivery", ["id"], postgresql_where=sa.text("state = 'dead'"))
    op.execute(
        "create trigger delivery_inserted after insert on delivery for each row execute function amd_notify_of_work()"
    )
    op.execute(
        "create trigger delivery_queued after update of state on delivery for each row "
        "when (new.state = 'queued' and old.state <> 'queued') execute function amd_notify_of_work()"
    )


def _create_table() -> None:
    op.create_table(
        "delivery",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the row, in order of writing.",
        ),
        sa.Column("call_sid", sa.Text(), nullable=False, comment="CallSid of the call."),
        sa.Column(
            "sequence",
            sa.Integer(),
            nullable=False,
            comment="Number of the event in its call, from 1. A URL gets the events of a call in this order.",
        ),
        sa.Column("url", sa.Text(), nullable=False, comment="URL of the backend."),
        sa.Column("type", sa.Text(), nullable=False, comment="`call.judged`, `call.failed` or `call.not_applicable`."),
        sa.Column("payload", sa.Text(), nullable=False, comment="Body of the request, as it is signed and sent."),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="`queued`, `running`, `done` (the backend accepted the event), `dead` (given up, see last_error).",
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
            comment="Earliest time at which a worker may send the event: time of writing, end of the retry delay, or end of the current worker's lease. An event also waits for the earlier events of its call and URL.",
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
            comment="Worker that sends the event, followed by `#` and a random token of the claim. Null unless state is `running`.",
        ),
        sa.Column(
            "last_status",
            sa.Integer(),
            nullable=True,
            comment="HTTP status of the latest response. Null if the latest request got no response.",
        ),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="Error of the latest failed request. If state is `dead`: reason why the event was given up.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time of the event.",
        ),
        sa.Column(
            "finished_at", sa.DateTime(timezone=True), nullable=True, comment="Time when state became `done` or `dead`."
        ),
        sa.CheckConstraint(
            "type in ('call.judged', 'call.failed', 'call.not_applicable')", name=op.f("ck_delivery_type")
        ),
        sa.CheckConstraint("state in ('queued', 'running', 'done', 'dead')", name=op.f("ck_delivery_state")),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_delivery_sequence")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_delivery_attempts")),
        sa.CheckConstraint(
            "(locked_by is not null) = (state = 'running')", name=op.f("ck_delivery_locked_when_running")
        ),
        sa.CheckConstraint(
            "(finished_at is not null) = (state in ('done', 'dead'))", name=op.f("ck_delivery_finished_when_over")
        ),
        sa.CheckConstraint("last_error is not null or state <> 'dead'", name=op.f("ck_delivery_reason_when_dead")),
        sa.ForeignKeyConstraint(["call_sid"], ["call_log.call_sid"], name=op.f("fk_delivery_call_sid_call_log")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("call_sid", "url", "sequence", name=op.f("uq_delivery_call_sid_url_sequence")),
        comment="One row per event of a call and URL of a backend (AMD_DELIVERY_URL). Each row is also the job of delivering the event. Finished rows are deleted after AMD_DELIVERY_DAYS.",
    )


def downgrade() -> None:
    op.drop_table("delivery")
    op.drop_column("call_log", "events")
