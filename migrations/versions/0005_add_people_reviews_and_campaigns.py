"""add people, API keys, reviews, saved views, campaigns and tags

Revision ID: 0005
Revises: 0004

docs/versioning.md says how to prepare a large database, so that callbacks do not wait for the indexes.
"""
# ruff: noqa: E501

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DISAGREEMENT = (
    "(call_log.label = 'human' and call_log.twilio_answered_by like 'machine%' or call_log.label = 'voicemail' and "
    "call_log.twilio_answered_by = 'human')"
)

VIEW = """
create view call_log_reviewed as
select first.call_sid, campaign, label, confidence, reason, verdict_at, model_id,
       latest.answer, latest.reviewer, first.stratum, first.probability, latest.created_at as reviewed_at,
       case when label = 'undecided' or latest.answer not in ('human', 'voicemail') then null
            else label = latest.answer end as is_correct
  from (
         select distinct on (call_sid) call_sid, reviewer, stratum, probability
           from review
          order by call_sid, probability is null, id
       ) first
  join lateral (
         select answer, reviewer, created_at
           from review
          where review.call_sid = first.call_sid and review.reviewer = first.reviewer
          order by id desc
          limit 1
       ) latest on true
  join call_log on call_log.call_sid = first.call_sid
"""

VIEW_COMMENTS = {
    "view call_log_reviewed": "Judged calls that a person has listened to, with the answer. A view that the dashboard role may read. These calls were not drawn evenly, so a plain average over them is not an error rate; see docs/review.md.",
    "column call_log_reviewed.call_sid": "Twilio's CallSid.",
    "column call_log_reviewed.campaign": "Campaign of the call.",
    "column call_log_reviewed.label": "Our label: `human`, `voicemail` or `undecided`.",
    "column call_log_reviewed.confidence": "Confidence of our verdict.",
    "column call_log_reviewed.reason": "Reason of our verdict.",
    "column call_log_reviewed.verdict_at": "Time of our verdict.",
    "column call_log_reviewed.model_id": "Model that produced the verdict.",
    "column call_log_reviewed.answer": "What the first reviewer heard: `human`, `voicemail`, `screening`, `other`, `cannot_tell`.",
    "column call_log_reviewed.reviewer": "Name of the first reviewer.",
    "column call_log_reviewed.stratum": "Group from which the call was drawn. Null if the reviewer chose the call.",
    "column call_log_reviewed.probability": "Probability with which the call was drawn. Null if the reviewer chose it.",
    "column call_log_reviewed.reviewed_at": "Time of the answer.",
    "column call_log_reviewed.is_correct": "Whether our label is the answer. Null if our label is `undecided`, or if the answer is neither `human` nor `voicemail`.",
}


# CAMPAIGN stands for the new column and its grouping. The new column is the last one, because `create or replace` keeps
# the privileges of the dashboard role, but can only append columns.
AGREEMENT = """
create or replace view call_log_agreement as
select (coalesce(answered_at, created_at) at time zone 'UTC')::date as day,
       label,
       count(*) as calls,
       count(*) filter (where twilio_answered_by = 'human') as twilio_human,
       count(*) filter (where twilio_answered_by like 'machine%') as twilio_machine,
       count(*) filter (where twilio_answered_by <> 'human' and twilio_answered_by not like 'machine%')
           as twilio_other,
       count(*) filter (where label = 'human' and twilio_answered_by = 'human'
                           or label = 'voicemail' and twilio_answered_by like 'machine%') as agreed,
       count(*) filter (where label = 'human' and twilio_answered_by = 'human'
                           or label = 'voicemail' and twilio_answered_by like 'machine%')::double precision
           / nullif(count(*) filter (where label <> 'undecided' and (twilio_answered_by = 'human'
                                      or twilio_answered_by like 'machine%')), 0) as agreement
       CAMPAIGN
  from call_log
 where label is not null and twilio_answered_by is not null
 group by 1, 2 CAMPAIGN
"""

# Comments of the view before, which a downgrade needs because it makes the view anew.
AGREEMENT_COMMENTS_BEFORE = {
    "view call_log_agreement": "Our verdicts compared with Twilio's own answering-machine detection: one row per day and label. Only calls with both results are counted. A view that the dashboard role may read.",
    "column call_log_agreement.day": "Day of the answer, in UTC. If the time of the answer is not known: day of created_at.",
    "column call_log_agreement.label": "Our label: `human`, `voicemail` or `undecided`.",
    "column call_log_agreement.calls": "Number of calls on this day with this label and with a result of Twilio's detection.",
    "column call_log_agreement.twilio_human": "Number of these calls that Twilio classified as human.",
    "column call_log_agreement.twilio_machine": "Number of these calls that Twilio classified as machine (`machine_start`, `machine_end_…`).",
    "column call_log_agreement.twilio_other": "Number of these calls that Twilio classified as neither (`fax`, `unknown`).",
    "column call_log_agreement.agreed": "Number of these calls on which both results agree. Our label `undecided` never agrees.",
    "column call_log_agreement.agreement": "`agreed` divided by the number of calls that both classified as human or machine: 0 to 1. Null if there are no such calls.",
}
AGREEMENT_COMMENTS = {
    "view call_log_agreement": "Our verdicts compared with Twilio's own answering-machine detection: one row per day, label and campaign. Only calls with both results are counted. A view that the dashboard role may read.",
    "column call_log_agreement.calls": "Number of calls on this day with this label and campaign, and with a result of Twilio's detection.",
    "column call_log_agreement.campaign": "Campaign of the calls. Null for the calls without a campaign.",
}

# Comments of the table `callback`: column, new comment, comment before.
COMMENTS = (
    (
        "sha256",
        "SHA-256, in hex, of the route, the sorted decoded parameters, and campaign and tags of the URL. Unique, so that a repeated delivery adds no row.",
        "SHA-256, in hex, of the route and the sorted decoded parameters. Unique, so that a repeated delivery adds no row.",
    ),
    (
        "route",
        "Receiving route: `status`, `recording` or `amd`. `rest` for responses of Twilio's API, `stream` for campaign and tags of a live stream.",
        "Receiving route: `status`, `recording` or `amd`. `rest` for responses of Twilio's API.",
    ),
    (
        "facts",
        "Parsed values of the callback, and campaign and tags of its URL. A key is missing if the callback had no value for it.",
        "Parsed values of the callback. A key is missing if the callback had no value for it.",
    ),
)


CALL_COLUMNS = {
    "campaign": "Campaign of the call, from the request that placed the call, or else from the URLs of its callbacks. Null without a campaign.",
    "tags": "Tags of the call, from the same URLs, sorted. Empty without tags.",
}

# Indexes for the list of calls and the queues of reviews. Most are partial, so that a callback writes only to those that
# concern its call.
CALL_INDEXES = {
    "ix_call_log_label_confidence": "(label, confidence) where label is not null",
    "ix_call_log_reason_created_at": "(reason, created_at) where reason <> 'confident'",
    "ix_call_log_call_status_created_at": "(call_status, created_at) where call_status in ('busy', 'failed', 'no-answer', 'canceled')",
    "ix_call_log_analysis_state_created_at": "(analysis_state, created_at) where analysis_state in ('queued', 'running', 'failed')",
    "ix_call_log_campaign_created_at": "(campaign, created_at) where campaign is not null",
    "ix_call_log_campaign_label_created_at": "(campaign, label, created_at) where campaign is not null and label is not null",
    "ix_call_log_tags": "using gin (tags) where call_log.tags <> '{}'",
    "ix_call_log_disagreement": f"(created_at) where {DISAGREEMENT}",
    "ix_call_log_review_order": "(hashtextextended(call_sid, 0)) where label is not null",
}
# A `create index concurrently` that is interrupted leaves an invalid index, which no query uses.
DROP_IF_INVALID = """
do $$ begin
    if exists (select from pg_index where indexrelid = to_regclass('{name}') and not indisvalid) then
        drop index {name};
    end if;
end $$
"""


def upgrade() -> None:
    for column, comment, before in COMMENTS:
        op.alter_column("callback", column, comment=comment, existing_comment=before)
    op.create_table(
        "api_key",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Number of the key."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the program that has the key."),
        sa.Column(
            "key_sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the key, in hex. The key has 256 random bits, so no slow hash is needed.",
        ),
        sa.Column(
            "scopes",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="What the key allows: `predict`, `read`, `call`, `review`, `admin`.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time when the key was made.",
        ),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Time when the key was revoked. Null for a valid key.",
        ),
        sa.CheckConstraint(
            "cardinality(scopes) > 0 and scopes <@ array['predict', 'read', 'call', 'review', 'admin']",
            name=op.f("ck_api_key_scopes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_key_key_sha256")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
        comment="One row per API key that was made with `amd-service key add`. Keys are revoked, never deleted.",
    )
    op.create_table(
        "person",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Number of the person."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name for signing in, or the name that a proxy sends."),
        sa.Column("role", sa.Text(), nullable=False, comment="`viewer`, `reviewer` or `admin`."),
        sa.Column(
            "password_hash",
            sa.Text(),
            nullable=True,
            comment="Argon2id hash of the password. Null for a person who signs in only through a proxy.",
        ),
        sa.Column(
            "sees_numbers",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="True if phone numbers are shown in full. Otherwise they are masked.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time when the person was added.",
        ),
        sa.Column(
            "disabled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Time when the person was disabled. Null for a person who may sign in.",
        ),
        sa.CheckConstraint("role in ('viewer', 'reviewer', 'admin')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
        comment="One row per person who may use the pages. People are disabled, never deleted.",
    )
    op.create_table(
        "saved_view",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="Number of the view."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name that the page shows."),
        sa.Column("query", sa.Text(), nullable=False, comment="Query string of the page, without `?`."),
        sa.Column("created_by", sa.Text(), nullable=False, comment="Name of the person who saved the view."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time when the view was saved.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("name", name=op.f("uq_saved_view_name")),
        comment="One row per filter of the calls page that somebody saved under a name.",
    )
    op.create_table(
        "person_session",
        sa.Column("token_sha256", sa.Text(), nullable=False, comment="SHA-256, in hex, of the session cookie."),
        sa.Column("person_id", sa.BigInteger(), nullable=False, comment="The person who is signed in."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time of the sign-in.",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, comment="Time when the session ends."),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_person_session_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_person_session")),
        comment="One row per browser in which a person is signed in. Expired rows are deleted.",
    )
    op.create_index(op.f("ix_person_session_expires_at"), "person_session", ["expires_at"], unique=False)
    op.create_index(op.f("ix_person_session_person_id"), "person_session", ["person_id"], unique=False)
    op.create_table(
        "review",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the row, in order of writing.",
        ),
        sa.Column("call_sid", sa.Text(), nullable=False, comment="CallSid of the call."),
        sa.Column("reviewer", sa.Text(), nullable=False, comment="Name of the person, or of the API key."),
        sa.Column(
            "answer",
            sa.Text(),
            nullable=False,
            comment="`human`, `voicemail`, `screening` (an assistant asks who is calling), `other` (fax, tone, music, announcement, menu) or `cannot_tell`.",
        ),
        sa.Column("note", sa.Text(), nullable=True, comment="Note of the person. Null without a note."),
        sa.Column(
            "stratum",
            sa.Text(),
            nullable=True,
            comment="Group of calls from which this call was drawn: `disagreement` (with Twilio's own detection), `undecided`, `low_confidence` or `rest`. Null if the person chose the call.",
        ),
        sa.Column(
            "probability",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Probability with which a call of the stratum was drawn for review, from 0 to 1. Null if the person chose the call. Such an answer counts for no error rate.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Time of the answer.",
        ),
        sa.CheckConstraint(
            "answer in ('human', 'voicemail', 'screening', 'other', 'cannot_tell')", name=op.f("ck_review_answer")
        ),
        sa.CheckConstraint(
            "stratum in ('disagreement', 'undecided', 'low_confidence', 'rest')", name=op.f("ck_review_stratum")
        ),
        sa.CheckConstraint(
            "(stratum is null) = (probability is null)", name=op.f("ck_review_drawn_with_a_probability")
        ),
        sa.CheckConstraint("probability >= 0 and probability <= 1", name=op.f("ck_review_probability")),
        sa.ForeignKeyConstraint(["call_sid"], ["call_log.call_sid"], name=op.f("fk_review_call_sid_call_log")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
        comment="One row per answer of a person who listened to a call. The latest answer of a person about a call counts. Reviews never change a verdict.",
    )
    op.create_index(op.f("ix_review_call_sid_id"), "review", ["call_sid", "id"], unique=False)
    op.create_index(op.f("ix_review_created_at"), "review", ["created_at"], unique=False)
    op.execute("alter table call_log add column if not exists campaign text")
    op.execute("alter table call_log add column if not exists tags text[] not null default '{}'")
    for column, comment in CALL_COLUMNS.items():
        op.alter_column("call_log", column, comment=comment)
    for name, definition in CALL_INDEXES.items():
        op.execute(DROP_IF_INVALID.format(name=name))
        op.execute(f"create index if not exists {name} on call_log {definition}")
    op.execute(VIEW)
    op.execute(AGREEMENT.replace("CAMPAIGN", ", campaign"))
    _comment(AGREEMENT_COMMENTS)
    _comment(VIEW_COMMENTS)


def _comment(comments: dict[str, str]) -> None:
    for what, comment in comments.items():
        op.execute(f"comment on {what} is '{comment.replace(chr(39), chr(39) * 2)}'")


def downgrade() -> None:
    op.execute("drop view call_log_agreement")
    op.execute(AGREEMENT.replace("CAMPAIGN", ""))
    _comment(AGREEMENT_COMMENTS_BEFORE)
    for column, comment, before in COMMENTS:
        op.alter_column("callback", column, comment=before, existing_comment=comment)
    op.execute("drop view call_log_reviewed")
    for name in CALL_INDEXES:
        op.drop_index(name)
    op.drop_column("call_log", "tags")
    op.drop_column("call_log", "campaign")
    op.drop_index(op.f("ix_review_created_at"), table_name="review")
    op.drop_index(op.f("ix_review_call_sid_id"), table_name="review")
    op.drop_table("review")
    op.drop_index(op.f("ix_person_session_person_id"), table_name="person_session")
    op.drop_index(op.f("ix_person_session_expires_at"), table_name="person_session")
    op.drop_table("person_session")
    op.drop_table("saved_view")
    op.drop_table("person")
    op.drop_table("api_key")
