"""add runs of shadow models

Revision ID: 0010
Revises: 0009
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHECKS = {
    "source": (
        "source in ('recording', 'stream')",
        "source in ('recording', 'stream', 'shadow')",
    ),
    "label_when_decided": (
        "decided = (label is not null) and decided = (reason is not null)",
        "(label is null) = (reason is null) and case when source = 'shadow' then not decided else decided = (label is not null) end",
    ),
    "confidence_when_a_model_ran": (
        "not decided or (confidence is null) = (reason in ('no_speech', 'too_short'))",
        "label is null or (confidence is null) = (reason in ('no_speech', 'too_short'))",
    ),
}
COMMENTS = {
    "table verdict": (
        "One row per model run. A verdict without a model run (no speech, or too short) has one row without scores.",
        "One row per model run. A verdict without a model run (no speech, or too short) has one row without scores. A verdict of a call is always a row with `decided`.",
    ),
    "column verdict.source": (
        "Basis of the verdict: `recording`, or `stream` (live).",
        "Basis of the verdict: `recording`, or `stream` (live). `shadow`: run of another model on a recording, for comparison; see docs/models.md.",
    ),
    "column verdict.decided": (
        "True if the verdict is based on this run, which is the last run of its attempt.",
        "True if the verdict is based on this run, which is the last run of its attempt. Always false for a run of a shadow model.",
    ),
    "column verdict.label": (
        "`human`, `voicemail` or `undecided`. Null if `decided` is false.",
        "`human`, `voicemail` or `undecided`. Null if another run of the attempt follows. For a shadow model: the label that its verdict would have.",
    ),
    "column verdict.confidence": (
        "Probability of the top class, from 0 to 1; with reason `beep`, of voicemail. Null if no model ran, or if `decided` is false.",
        "Probability of the top class, from 0 to 1; with reason `beep`, of voicemail. Null if no model ran, or if label is null.",
    ),
    "column verdict.reason": (
        "`confident`, `beep`, `low_confidence`, `disagreement`, `no_speech` or `too_short`. Null if `decided` is false.",
        "`confident`, `beep`, `low_confidence`, `disagreement`, `no_speech` or `too_short`. Null if label is null.",
    ),
}


def upgrade() -> None:
    # `not valid`: Postgres does not read the table while it locks it. `amd-service migrate` checks the old rows afterwards.
    _change(1, "not valid")
    op.execute(
        "alter table verdict add constraint ck_verdict_shadow_run"
        " check (source <> 'shadow' or model_id is not null) not valid"
    )
    op.create_index(
        "ix_verdict_shadow_run",
        "verdict",
        ["recording_sid", "model_id", "weights_sha256", "policy_version", "run_number"],
        unique=True,
        postgresql_where=sa.text("source = 'shadow'"),
    )
    op.create_index(
        "ix_verdict_shadow_created_at", "verdict", ["created_at"], postgresql_where=sa.text("source = 'shadow'")
    )


def downgrade() -> None:
    op.execute("delete from verdict where source = 'shadow'")
    op.drop_index("ix_verdict_shadow_created_at", "verdict")
    op.drop_index("ix_verdict_shadow_run", "verdict")
    op.drop_constraint(op.f("ck_verdict_shadow_run"), "verdict")
    _change(0)


def _change(version: int, validity: str = "") -> None:
    """Replace the constraints and the comments with the version before (0) or after (1) this migration."""
    # One statement, so that Postgres reads the table only once.
    changes = [
        f"drop constraint ck_verdict_{name}, add constraint ck_verdict_{name} check ({conditions[version]}) {validity}"
        for name, conditions in CHECKS.items()
    ]
    op.execute(f"alter table verdict {', '.join(changes)}")
    for what, comments in COMMENTS.items():
        op.execute(f"comment on {what} is '{comments[version]}'")
