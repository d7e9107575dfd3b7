"""add traceparent

Revision ID: 0008
Revises: 0007
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "recording",
        sa.Column(
            "traceparent",
            sa.Text(),
            nullable=True,
            comment="Span of the latest callback before the first attempt, as a traceparent of W3C Trace Context. The spans of the attempts belong to the same trace. Null if traces were off.",
        ),
    )


def downgrade() -> None:
    op.drop_column("recording", "traceparent")
