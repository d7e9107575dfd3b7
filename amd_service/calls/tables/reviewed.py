"""View `call_log_reviewed`: calls with the answer of the first person who reviewed them."""

from sqlalchemy import DDL, event

from amd_service.calls.tables.base import Base, view_comments

# The latest answer of the first reviewer counts. Second opinions only measure how well people agree. If a call was
# drawn for review, an earlier answer of a person who chose the call does not count: people choose calls that look
# wrong.
# The view starts at the table review, which is much smaller than call_log. `first.call_sid` instead of
# `call_log.call_sid`: Postgres then reads only the reviews of the calls that a query names.
CREATE_VIEW = """
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

DESCRIPTION = (
    "Judged calls that a person has listened to, with the answer. A view that the dashboard role may read. These calls "
    "were not drawn evenly, so a plain average over them is not an error rate; see docs/review.md."
)
COLUMNS = {
    "call_sid": ("text", "Twilio's CallSid."),
    "campaign": ("text", "Campaign of the call."),
    "label": ("text", "Our label: `human`, `voicemail` or `undecided`."),
    "confidence": ("double precision", "Confidence of our verdict."),
    "reason": ("text", "Reason of our verdict."),
    "verdict_at": ("timestamp with time zone", "Time of our verdict."),
    "model_id": ("text", "Model that produced the verdict."),
    "answer": ("text", "What the first reviewer heard: `human`, `voicemail`, `screening`, `other`, `cannot_tell`."),
    "reviewer": ("text", "Name of the first reviewer."),
    "stratum": ("text", "Group from which the call was drawn. Null if the reviewer chose the call."),
    "probability": ("double precision", "Probability with which the call was drawn. Null if the reviewer chose it."),
    "reviewed_at": ("timestamp with time zone", "Time of the answer."),
    "is_correct": (
        "boolean",
        "Whether our label is the answer. Null if our label is `undecided`, or if the answer is neither `human` nor "
        "`voicemail`.",
    ),
}

for statement in (CREATE_VIEW, *view_comments("call_log_reviewed", DESCRIPTION, COLUMNS)):
    # DDL formats its text with the operator %, so every `%` is doubled.
    event.listen(Base.metadata, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
