"""`call_log_agreement`: our verdicts beside Twilio's own answering-machine detection, by day and label."""

from sqlalchemy import DDL, event

from amd_service.calls.tables.base import Base

# Twilio's machine_start, machine_end_beep, machine_end_silence and machine_end_other all count as voicemail. `fax` and
# `unknown` are neither, like our `undecided`: they are counted and agree with nothing.
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
                                      or twilio_answered_by like 'machine%')), 0) as agreement
  from call_log
 where label is not null and twilio_answered_by is not null
 group by 1, 2
"""

DESCRIPTION = (
    "Our verdicts beside Twilio's own answering-machine detection: one row per day and label, over the calls that have "
    "both. A view; the dashboard role may read it."
)
COLUMNS = {
    "day": ("date", "Day of the answer, in UTC; of the call's first callback if the time of the answer is not known."),
    "label": ("text", "Our label: `human`, `voicemail` or `undecided`."),
    "calls": ("bigint", "Calls of that day with that label that Twilio's detection classified too."),
    "twilio_human": ("bigint", "Of these, the calls that Twilio classified as human."),
    "twilio_machine": (
        "bigint",
        "Of these, the calls that Twilio classified as machine (`machine_start`, `machine_end_…`).",
    ),
    "twilio_other": ("bigint", "Of these, the calls that Twilio classified as neither (`fax`, `unknown`)."),
    "agreed": ("bigint", "Calls on which both agree. Our `undecided` agrees with nothing."),
    "agreement": (
        "double precision",
        "`agreed` over the calls that both classified as human or machine, 0 to 1; null if there are none.",
    ),
}


def comments() -> list[str]:
    """SQL that sets the descriptions, which `\\d+` shows."""
    on_columns = [(f"column call_log_agreement.{name}", meaning) for name, (_, meaning) in COLUMNS.items()]
    described = [("view call_log_agreement", DESCRIPTION), *on_columns]
    return [f"comment on {what} is '{text.replace(chr(39), chr(39) * 2)}'" for what, text in described]


for statement in (CREATE_VIEW, *comments()):
    # `%` is doubled for DDL, which formats its text.
    event.listen(Base.metadata, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
