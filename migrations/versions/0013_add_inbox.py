"""add the inbox of callbacks that are not yet folded

Revision ID: 0013
Revises: 0012
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column(
            "callback_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the row in `callback`.",
        ),
        sa.Column("call_sid", sa.Text(), nullable=False, comment="CallSid of the callback."),
        sa.Column(
            "account_sid", sa.Text(), nullable=False, comment="Twilio account or subaccount that signed the request."
        ),
        sa.Column(
            "recording_sid", sa.Text(), comment="RecordingSid of the callback. Null for a callback about the call."
        ),
        sa.Column(
            "traceparent",
            sa.Text(),
            comment="Span of the request, as a traceparent of W3C Trace Context. Null if traces were off.",
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time when the request was first received.",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Number of attempts to fold the callback that failed.",
        ),
        sa.Column(
            "available_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Earliest time of the next attempt.",
        ),
        sa.Column("error", sa.Text(), comment="Error of the latest failed attempt."),
        sa.PrimaryKeyConstraint("callback_id", name=op.f("pk_inbox")),
        comment="One row per stored callback that is not yet folded into call_log and recording. Usually empty: a row is deleted some milliseconds after its callback.",
    )


def downgrade() -> None:
    # The earlier version does not fold stored callbacks: their calls would keep an old state.
    waiting = op.get_bind().scalar(sa.text("select count(*) from inbox"))
    if waiting:
        raise RuntimeError(f"{waiting} callbacks are not folded yet: run `amd-service serve` until inbox is empty")
    op.drop_table("inbox")
