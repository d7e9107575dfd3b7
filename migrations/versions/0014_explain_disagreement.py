"""explain that two windows can disagree

Revision ID: 0014
Revises: 0013
"""
# ruff: noqa: E501

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BEFORE = "If judged: `confident`, `beep` (a beep after speech made it a voicemail), `low_confidence`, `disagreement` (the rhythm of speech contradicts the model), `no_speech`, `too_short`. If failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null in all other states."
_AFTER = _BEFORE.replace("(the rhythm of speech contradicts", "(the rhythm of speech or a shorter window contradicts")


def upgrade() -> None:
    op.alter_column("call_log", "reason", comment=_AFTER, existing_comment=_BEFORE)


def downgrade() -> None:
    op.alter_column("call_log", "reason", comment=_BEFORE, existing_comment=_AFTER)
