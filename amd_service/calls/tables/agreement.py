"""View `call_log_agreement`: compares our verdicts with Twilio's own answering-machine detection."""

from sqlalchemy import DDL, event

from amd_service.calls.tables.base import Base, view_comments

# Twilio's machine_start, machine_end_beep, machine_end_silence and machine_end_other all count as voicemail. Twilio's
# `fax` and `unknown`, and our `undecided`, are neither human nor voicemail. Calls with
# one of these values are counted, but never as an agreement.
CREATE_VIEW = """
create view call_log_agreement as
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
                                      or twilio_answered_by like 'machine%')), 0) as agreement,
       campaign
  from call_log
 where label is not null and twilio_answered_by is not null
 group by 1, 2, campaign
"""

DESCRIPTION = (
    "Our verdicts compared with Twilio's own answering-machine detection: one row per day, label and "
    "campaign. Only calls with both results are counted. A view that the dashboard role may read."
)
COLUMNS = {
    "day": ("date", "Day of the answer, in UTC. If the time of the answer is not known: day of created_at."),
    "label": ("text", "Our label: `human`, `voicemail` or `undecided`."),
    "calls": (
        "bigint",
        "Number of calls on this day with this label and campaign, and with a result of Twilio's detection.",
    ),
    "twilio_human": ("bigint", "Number of these calls that Twilio classified as human."),
    "twilio_machine": (
        "bigint",
        "Number of these calls that Twilio classified as machine (`machine_start`, `machine_end_…`).",
    ),
    "twilio_other": ("bigint", "Number of these calls that Twilio classified as neither (`fax`, `unknown`)."),
    "agreed": ("bigint", "Number of these calls on which both results agree. Our label `undecided` never agrees."),
    "agreement": (
        "double precision",
        (
            "`agreed` divided by the number of calls that both classified as human or machine: 0 to 1. Null if "
            "there are no such calls."
        ),
    ),
    "campaign": ("text", "Campaign of the calls. Null for the calls without a campaign."),
}


for statement in (CREATE_VIEW, *view_comments("call_log_agreement", DESCRIPTION, COLUMNS)):
    # DDL formats its text with the operator %, so every `%` is doubled.
    event.listen(Base.metadata, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
