"""add the idempotency keys of reviews

Revision ID: 0007
Revises: 0006
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "review",
        sa.Column(
            "idempotency_key",
            sa.Text(),
            nullable=True,
            comment="Idempotency-Key of the request that added the row. Null without a key, and for an answer on a page.",
        ),
    )
    op.create_index(
        "ix_review_reviewer_idempotency_key",
        "review",
        ["reviewer", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_review_reviewer_idempotency_key", "review")
    op.drop_column("review", "idempotency_key")
