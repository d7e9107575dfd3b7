"""add evidence beside the model, and the reasons `beep` and `disagreement`

Revision ID: 0009
Revises: 0008

The changed constraints are `not valid`, so that Postgres does not read the tables while it locks them. `amd-service migrate`
checks the old rows afterwards.
"""
# ruff: noqa: E501

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The comment of each column after the upgrade, and the comment before.
COMMENTS = {
    "call_log.confidence": (
        "Probability of the top class in the model run that produced the verdict, from 0 to 1. Also set if the label is `undecided`. With reason `beep`: probability of voicemail. Null if no model ran (reason `no_speech` or `too_short`) or if the call is not judged.",
        "Probability of the top class in the model run that produced the verdict, from 0 to 1. Also set if the label is `undecided`. Null if no model ran (reason `no_speech` or `too_short`) or if the call is not judged.",
    ),
    "call_log.reason": (
        "If judged: `confident`, `beep` (a beep after speech made it a voicemail), `low_confidence`, `disagreement` (the rhythm of speech contradicts the model), `no_speech`, `too_short`. If failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null in all other states.",
        "If judged: `confident`, `low_confidence`, `no_speech`, `too_short`. If failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null in all other states.",
    ),
    "verdict.confidence": (
        "Probability of the top class, from 0 to 1; with reason `beep`, of voicemail. Null if no model ran, or if `decided` is false.",
        "Probability of the top class, from 0 to 1. Null if no model ran, or if `decided` is false.",
    ),
    "verdict.reason": (
        "`confident`, `beep`, `low_confidence`, `disagreement`, `no_speech` or `too_short`. Null if `decided` is false.",
        "`confident`, `low_confidence`, `no_speech` or `too_short`. Null if `decided` is false.",
    ),
}
HEARD = "Only kind of sound in a judged call without speech: `ringback`, `busy`, `fax`, `music`, or a special information tone: `sit_vacant` (number does not exist), `sit_intercept` (number changed or disconnected), `sit_reorder`, `sit_no_circuit` (network busy), `sit_ineffective`, `sit_other`. Null for other calls."
EVIDENCE = "Rhythm, beep, tones and music in the audio, see docs/evidence.md. Null if `decided` is false, if the audio is too short, or if an old version judged the recording."

HEARD_VALUES = "'sit_vacant', 'sit_intercept', 'sit_reorder', 'sit_no_circuit', 'sit_ineffective', 'sit_other', 'busy', 'fax', 'ringback', 'music'"
REASONS = "'confident', 'beep', 'low_confidence', 'disagreement', 'no_speech', 'too_short'"
REASONS_BEFORE = "'confident', 'low_confidence', 'no_speech', 'too_short'"
FAILURES = "'no_recording', 'recording_failed', 'media_missing', 'unauthorised', 'encrypted', 'external_storage', 'undecodable', 'model_failed', 'gave_up'"


def upgrade() -> None:
    checks = call_checks(REASONS, "not reason in ('confident', 'beep')")
    checks["heard"] = f"heard in ({HEARD_VALUES})"
    op.execute(f"alter table call_log add column heard text, {replaced('call_log', checks)}")
    op.execute(f"alter table verdict add column evidence jsonb, {replaced('verdict', verdict_checks(REASONS))}")
    comment_on("call_log.heard", HEARD)
    comment_on("verdict.evidence", EVIDENCE)
    for column, (comment, _) in COMMENTS.items():
        comment_on(column, comment)


def downgrade() -> None:
    # The older version knows neither reason. A call that a beep decided becomes a confident one, and a call without a
    # decision has a low confidence.
    for table, names in CHECKS.items():
        op.execute(f"alter table {table} {', '.join(dropped(table, names))}")
    op.execute("update call_log set reason = 'confident' where reason = 'beep'")
    op.execute("update call_log set reason = 'low_confidence' where reason = 'disagreement'")
    op.execute("update verdict set reason = 'confident' where reason = 'beep'")
    op.execute("update verdict set reason = 'low_confidence' where reason = 'disagreement'")
    added = added_checks("call_log", call_checks(REASONS_BEFORE, "reason <> 'confident'"))
    op.execute(f"alter table call_log drop column heard, {', '.join(added)}")
    added = added_checks("verdict", verdict_checks(REASONS_BEFORE))
    op.execute(f"alter table verdict drop column evidence, {', '.join(added)}")
    for column, (_, comment) in COMMENTS.items():
        comment_on(column, comment)


CHECKS = {"call_log": ("reason_fits_state", "reason_fits_label"), "verdict": ("reason",)}


def call_checks(reasons: str, is_undecided: str) -> dict[str, str]:
    return {
        "reason_fits_state": f"case analysis_state when 'judged' then reason is not null and reason in ({reasons}) when 'failed' then reason is not null and reason in ({FAILURES}) else reason is null end",
        "reason_fits_label": f"label is null or (label = 'undecided') = ({is_undecided})",
    }


def verdict_checks(reasons: str) -> dict[str, str]:
    return {"reason": f"reason in ({reasons})"}


def replaced(table: str, checks: dict[str, str]) -> str:
    added = (f"{each} not valid" for each in added_checks(table, checks))
    return ", ".join([*dropped(table, CHECKS[table]), *added])


def dropped(table: str, names: tuple[str, ...]) -> list[str]:
    return [f"drop constraint ck_{table}_{name}" for name in names]


def added_checks(table: str, checks: dict[str, str]) -> list[str]:
    return [f"add constraint ck_{table}_{name} check ({condition})" for name, condition in checks.items()]


def comment_on(column: str, comment: str) -> None:
    op.execute(f"comment on column {column} is '{comment.replace(chr(39), chr(39) * 2)}'")
