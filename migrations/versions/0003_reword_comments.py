"""reword comments of tables and columns

Revision ID: 0003
Revises: 0002

Changes no row and no meaning. `comment on` blocks neither reads nor writes.
"""
# ruff: noqa: E501

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Object: its comment from this revision on, and before.
COMMENTS = {
    "table call_log": (
        "One row per call: Twilio's report of it, and whether a human or a voicemail answered.",
        "One row a call: what Twilio says about it, and whether a human or a voicemail picked up.",
    ),
    "column call_log.parent_call_sid": (
        "The call whose `<Dial>` made this leg; its row has the recording and the verdict. Null for a call that no other call dialled.",
        "The call whose `<Dial>` made this leg; its row has the recording and the verdict. Null for a call of its own.",
    ),
    "column call_log.direction": (
        "Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until a status callback reported it.",
        "Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until a status callback told it.",
    ),
    "column call_log.call_status": (
        "Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal one stays. Null while only a recording callback has arrived.",
        "Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal one stays. Null when only a recording callback came so far.",
    ),
    "column call_log.answered_at": (
        "When the call was answered, by a human or a machine.",
        "When somebody or something picked up.",
    ),
    "column call_log.twilio_answered_by": (
        "Result of Twilio's own answering-machine detection (AnsweredBy), if it was enabled; for comparison.",
        "Twilio's own answering-machine detection (AnsweredBy), where it was switched on; for comparison.",
    ),
    "column call_log.analysis_state": (
        "`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody answered; or a leg whose parent is judged).",
        "`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody picked up; or a leg whose parent is judged).",
    ),
    "column call_log.channels_mixed": (
        "True if the called party's channel was not known, so that both parties were judged as one mixed signal.",
        "True when the called party could not be told from the caller: both were judged as one sound.",
    ),
    "column call_log.verdict_ms": (
        "Milliseconds to the verdict: from when a callback enqueued the recording, or from the start of the live stream.",
        "Milliseconds to the verdict from the recording being put up for work, on its callback, or from the start of the live stream.",
    ),
    "column call_log.verdict_source": (
        "Basis of the verdict: `recording`, or `stream` (live). Null when not judged, or judged by a version that knew recordings only.",
        "What was listened to: `recording`, or `stream` (live). Null when not judged, or judged by a version that knew recordings only.",
    ),
    "column call_log.answer_to_verdict_ms": (
        "Milliseconds from answered_at to verdict_at. Twilio reports the answer in whole seconds, by its own clock. Null while either is unknown.",
        "Milliseconds from answered_at to verdict_at. Twilio tells the answer in whole seconds, by its own clock. Null while either is unknown.",
    ),
    "column call_log.action": (
        "Action scheduled after this verdict: `hang_up` or `redirect`. Null for none.",
        "What the deployment wanted done after this verdict: `hang_up` or `redirect`. Null for nothing.",
    ),
    "column call_log.action_state": (
        "`due`, `sent` (Twilio's response is not known: it may have been done), `done`, `refused` (it was too late, or Twilio refused it), `failed` (nothing was done).",
        "`due`, `sent` (its answer is not known: it may have been done), `done`, `refused` (the call was over, or Twilio would not), `failed` (nothing was done).",
    ),
    "column call_log.action_note": (
        "Why it was refused or failed, or why its outcome is not known.",
        "Why it was refused or failed, or why it is not known whether it was done.",
    ),
    "column call_log.reconciled_at": (
        "When Twilio's API was last queried, after the call had ended, for callbacks that were lost; null if never.",
        "When Twilio was last asked, after the call had ended, for what its callbacks left out; null if never.",
    ),
    "column call_log.created_at": (
        "When the call was first seen: in a callback, when this service placed it, or in Twilio's API.",
        "When the call was first heard of: by its first callback, by being placed here, or by asking Twilio.",
    ),
    "table recording": (
        "One row per recording, which is also the job of judging it.",
        "One row a recording, which is also the job of judging it.",
    ),
    "column recording.recording_sid": (
        "Twilio's RecordingSid; for a live stream its StreamSid, MZ….",
        "Twilio's RecordingSid; of a live stream its StreamSid, MZ….",
    ),
    "column recording.recording_status": (
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays. For a live stream `completed`, or `broken-off`: lost before its verdict, so that a recording's verdict comes first.",
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays. Of a live stream `completed`, or `broken-off`: lost before its verdict stood, so a recording's comes first.",
    ),
    "column recording.state": (
        "`noted` (nothing to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (given up, see failure).",
        "`noted` (nothing to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (see failure).",
    ),
    "column recording.locked_by": (
        "The worker that holds it, `#` and a random token of this claim; null unless running.",
        "The worker that holds it, `#` and a mark of this claim; null unless running.",
    ),
    "column recording.last_error": (
        "Error of the latest attempt that failed.",
        "What went wrong in the latest attempt that failed.",
    ),
    "column recording.last_failure": (
        "The failure that is written if the attempts run out on the latest error.",
        "The reason that will be written if the attempts run out on the latest error.",
    ),
    "column recording.queued_at": (
        "When it was first enqueued; requeueing it sets a new time.",
        "When it was first put up for work.",
    ),
    "column recording.erase_after": (
        "When the deletion of Twilio's copy may next be tried, if AMD_DELETE_RECORDINGS is on.",
        "When Twilio's copy may next be tried to be deleted, where that is wanted.",
    ),
    "column recording.erased_at": (
        "When Twilio's copy was deleted, or was found to be gone.",
        "When Twilio's copy was deleted, or found gone.",
    ),
    "table verdict": (
        "One row per model run. A verdict without a run (no speech, too short) has a row without scores.",
        "Every model run; a verdict without one (no speech, too short) leaves a row without scores.",
    ),
    "column verdict.source": (
        "Basis of the verdict: `recording`, or `stream` (live).",
        "What was listened to: `recording`, or `stream` (live).",
    ),
    "column verdict.attempt": (
        "The attempt of the job that made this run.",
        "The job's attempt this came from.",
    ),
    "column verdict.decided": (
        "Whether the verdict is based on this run: the last of its attempt.",
        "Whether the verdict rests on this run: the last of its attempt.",
    ),
    "column verdict.channels_mixed": (
        "True if caller and called party were judged as one mixed signal.",
        "True when caller and called party were judged as one sound.",
    ),
    "column verdict.proof": (
        "Result of the golden clips for the model's label order.",
        "What the golden clips said about the model's label order.",
    ),
    "table callback": (
        "Every accepted webhook request, unchanged and once: a repeated delivery adds no row.",
        "Every accepted webhook request as it came, once: a repeated delivery leaves no second row.",
    ),
    "column callback.sha256": (
        "SHA-256, in hex, of the route and the sorted decoded parameters; unique.",
        "SHA-256, in hex, of the route and the sorted decoded parameters: what makes it unique.",
    ),
    "column callback.route": (
        "The route that received it: `status`, `recording`, `amd`; `rest` for an answer of Twilio's API.",
        "Where it came in: `status`, `recording`, `amd`; `rest` for what Twilio's API told.",
    ),
    "column callback.parameters": (
        "All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD. Null after they were dropped because of their age.",
        "All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD. Null once they were dropped for their age.",
    ),
    "column callback.facts": (
        "Its parsed values; a key is absent if the callback had no value for it.",
        "What was understood of it; a key is absent where the callback said nothing.",
    ),
    "column callback.received_at": (
        "When it was first received.",
        "When it first came in.",
    ),
    "table call_request": (
        "Every request to Twilio to place a call: its Idempotency-Key, and the basis of the rate limit.",
        "Every call we asked Twilio to place: its Idempotency-Key, and what the rate limit counts.",
    ),
    "column call_request.key": (
        "The Idempotency-Key; a generated one if the client sent none.",
        "The Idempotency-Key; one of our own making where none was given.",
    ),
    "column call_request.fingerprint": (
        "HMAC-SHA256, in hex and keyed with the account's REST secret, of the request: the same key with another request is refused.",
        "HMAC-SHA256, in hex and keyed with the account's REST secret, of what was asked for: the same key with another request is refused.",
    ),
    "column call_request.outcome": (
        "`pending` (the request is running, or its process died), `placed`, `unknown` (Twilio's response was lost).",
        "`pending` (Twilio is being asked, or the process died meanwhile), `placed`, `unknown` (its answer was lost).",
    ),
    "column call_request.created_at": (
        "When it was requested.",
        "When it was asked for.",
    ),
    "table sweep": (
        "One row per account: how far its reconciliation has come.",
        "One row an account: how far Twilio was asked for what its callbacks left out.",
    ),
    "column sweep.swept_until": (
        "Calls and recordings created before it have been reconciled. Null until the first sweep has ended.",
        "Calls and recordings made before it have been asked for. Null until the first sweep ended.",
    ),
    "column sweep.created_at": (
        "When the account was first swept. Unknown calls that began before are stored by `amd-service reconcile` only.",
        "When the account was first swept. Unheard-of calls that began before are taken in by hand only.",
    ),
    "view call_log_agreement": (
        "Our verdicts beside Twilio's own answering-machine detection: one row per day and label, over the calls that have both. A view; the dashboard role may read it.",
        "Our verdicts beside Twilio's own answering-machine detection: a row a day and label, over the calls that have both. A view; the dashboard role may read it.",
    ),
    "column call_log_agreement.day": (
        "Day of the answer, in UTC; of the call's first callback if the time of the answer is not known.",
        "Day of the answer, in UTC; of the call's first callback where the answer's time is not known.",
    ),
    "column call_log_agreement.calls": (
        "Calls of that day with that label that Twilio's detection classified too.",
        "Calls of that day with that label on which Twilio gave an opinion.",
    ),
    "column call_log_agreement.twilio_human": (
        "Of these, the calls that Twilio classified as human.",
        "Of these, the calls Twilio took for a human.",
    ),
    "column call_log_agreement.twilio_machine": (
        "Of these, the calls that Twilio classified as machine (`machine_start`, `machine_end_…`).",
        "Of these, the calls Twilio took for a machine (`machine_start`, `machine_end_…`).",
    ),
    "column call_log_agreement.twilio_other": (
        "Of these, the calls that Twilio classified as neither (`fax`, `unknown`).",
        "Of these, the calls on which Twilio took no side (`fax`, `unknown`).",
    ),
    "column call_log_agreement.agreed": (
        "Calls on which both agree. Our `undecided` agrees with nothing.",
        "Calls on which both said the same. Our `undecided` agrees with nothing.",
    ),
    "column call_log_agreement.agreement": (
        "`agreed` over the calls that both classified as human or machine, 0 to 1; null if there are none.",
        "`agreed` over the calls on which both took a side, 0 to 1; null where there is none.",
    ),
}


def upgrade() -> None:
    for described, (comment, _) in COMMENTS.items():
        op.execute(comment_on(described, comment))


def downgrade() -> None:
    for described, (_, comment) in COMMENTS.items():
        op.execute(comment_on(described, comment))


def comment_on(described: str, comment: str) -> str:
    return f"comment on {described} is '{comment.replace(chr(39), chr(39) * 2)}'"
