"""add calls to check again

Revision ID: 0012
Revises: 0011
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recheck",
        sa.Column("call_sid", sa.Text(), nullable=False, comment="CallSid of the call."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time of the request. An answer after this time settles it.",
        ),
        sa.ForeignKeyConstraint(["call_sid"], ["call_log.call_sid"], name=op.f("fk_recheck_call_sid_call_log")),
        sa.PrimaryKeyConstraint("call_sid", name=op.f("pk_recheck")),
        comment="One row per call whose label a dataset build suspects. People who have not answered the call get it in the queue `recheck`.",
    )


def downgrade() -> None:
    op.drop_table("recheck")
