"""reword comments of tables and columns

Revision ID: 0003
Revises: 0002

Changes no row and no meaning. `comment on` does not block reads or writes of the table.
"""
# ruff: noqa: E501

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The comment of each object after the upgrade, and the comment before.
COMMENTS = {
    "table call_log": (
        "One row per call: the facts that Twilio reported, and the verdict whether a human or a voicemail answered.",
        "One row a call: what Twilio says about it, and whether a human or a voicemail picked up.",
    ),
    "column call_log.account_sid": (
        "Twilio account or subaccount that the call belongs to.",
        "Twilio account or subaccount the call belongs to.",
    ),
    "column call_log.parent_call_sid": (
        "CallSid of the call whose `<Dial>` created this leg. The parent's row has the recording and the verdict. Null for a call that no other call dialled.",
        "The call whose `<Dial>` made this leg; its row has the recording and the verdict. Null for a call of its own.",
    ),
    "column call_log.direction": (
        "Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until Twilio reports a direction.",
        "Twilio's Direction, e.g. `outbound-api` or `outbound-dial`. Null until a status callback told it.",
    ),
    "column call_log.from_number": (
        "Caller as reported by Twilio, usually E.164. With AMD_PHONE_NUMBERS=hash: `hmac:` and the first 32 hex digits of HMAC-SHA256(AMD_PHONE_NUMBER_KEY, number). With AMD_PHONE_NUMBERS=drop: null.",
        "Caller as Twilio gave it, usually E.164. With AMD_PHONE_NUMBERS=hash: `hmac:` and the first 32 hex digits of HMAC-SHA256(AMD_PHONE_NUMBER_KEY, number); with `drop`: null.",
    ),
    "column call_log.to_number": (
        "Called party as reported by Twilio, usually E.164. Hashed or dropped like from_number.",
        "Called party as Twilio gave it, usually E.164; hashed or dropped like from_number.",
    ),
    "column call_log.call_status": (
        "Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal status never changes. Null until Twilio reports a status.",
        "Latest CallStatus by SequenceNumber: `queued`, `initiated`, `ringing`, `in-progress`, `completed`, `busy`, `failed`, `no-answer`, `canceled`. A terminal one stays. Null when only a recording callback came so far.",
    ),
    "column call_log.started_at": (
        "Start of the call: time of Twilio's first event before the answer.",
        "When Twilio began the call: time of its first event before the answer.",
    ),
    "column call_log.answered_at": (
        "Time of the answer, by a human or a machine.",
        "When somebody or something picked up.",
    ),
    "column call_log.ended_at": (
        "End of the call.",
        "When the call ended.",
    ),
    "column call_log.twilio_answered_by": (
        "Result of Twilio's own answering-machine detection (AnsweredBy), for comparison. Null if Twilio reported no result.",
        "Twilio's own answering-machine detection (AnsweredBy), where it was switched on; for comparison.",
    ),
    "column call_log.twilio_amd_ms": (
        "Duration of Twilio's own detection (MachineDetectionDuration), in milliseconds.",
        "How long Twilio's own detection took (MachineDetectionDuration), in milliseconds.",
    ),
    "column call_log.analysis_state": (
        "`waiting` (no recording yet), `queued`, `running`, `judged` (has a verdict), `failed` (see reason), `not_applicable` (nobody answered: busy, no-answer, canceled or failed; or a leg whose parent call has the recording).",
        "`waiting` (no recording yet), `queued`, `running`, `judged`, `failed` (see reason), `not_applicable` (busy, no-answer, canceled, failed: nobody picked up; or a leg whose parent is judged).",
    ),
    "column call_log.label": (
        "`human`, `voicemail` or `undecided`. Has a value if and only if analysis_state is `judged`.",
        "`human`, `voicemail` or `undecided`; not null exactly when analysis_state is `judged`.",
    ),
    "column call_log.confidence": (
        "Probability of the top class in the model run that produced the verdict, from 0 to 1. Also set if the label is `undecided`. Null if no model ran (reason `no_speech` or `too_short`) or if the call is not judged.",
        "Probability of the top class in the deciding model run, 0 to 1, also when undecided. Null when no model ran (reason `no_speech` or `too_short`) and when not judged.",
    ),
    "column call_log.reason": (
        "If judged: `confident`, `low_confidence`, `no_speech`, `too_short`. If failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null in all other states.",
        "When judged: `confident`, `low_confidence`, `no_speech`, `too_short`. When failed: `no_recording`, `recording_failed`, `media_missing`, `unauthorised`, `encrypted`, `external_storage`, `undecodable`, `model_failed`, `gave_up`. Null otherwise.",
    ),
    "column call_log.channels_mixed": (
        "True if the called party's channel was not known. Both parties were then judged as one mixed signal.",
        "True when the called party could not be told from the caller: both were judged as one sound.",
    ),
    "column call_log.model_id": (
        "Model that produced the verdict. Null if no model ran.",
        "Model of the deciding run. Null when no model ran.",
    ),
    "column call_log.model_revision": (
        "Resolved commit of a model from the Hugging Face hub. Null for a model from a folder.",
        "Resolved commit of a model from the hub; null for a model from a folder.",
    ),
    "column call_log.verdict_at": (
        "Time when the verdict was written.",
        "When the verdict was written.",
    ),
    "column call_log.verdict_ms": (
        "Milliseconds until the verdict, counted from the enqueueing of the recording or from the start of the live stream.",
        "Milliseconds to the verdict from the recording being put up for work, on its callback, or from the start of the live stream.",
    ),
    "column call_log.verdict_source": (
        "Basis of the verdict: `recording`, or `stream` (live). Null if the call is not judged, or if an old version that supported only recordings judged the call.",
        "What was listened to: `recording`, or `stream` (live). Null when not judged, or judged by a version that knew recordings only.",
    ),
    "column call_log.answer_to_verdict_ms": (
        "Milliseconds from answered_at to verdict_at. Twilio reports answered_at in whole seconds, by Twilio's clock. Null if one of the two times is unknown.",
        "Milliseconds from answered_at to verdict_at. Twilio tells the answer in whole seconds, by its own clock. Null while either is unknown.",
    ),
    "column call_log.action": (
        "Action scheduled after this verdict: `hang_up` or `redirect`. Null if no action was scheduled.",
        "What the deployment wanted done after this verdict: `hang_up` or `redirect`. Null for nothing.",
    ),
    "column call_log.action_state": (
        "`due` (not requested from Twilio yet), `sent` (requested, but the response is not known, so Twilio may have executed the action), `done`, `refused` (too late, or refused by Twilio), `failed` (nothing was done).",
        "`due`, `sent` (its answer is not known: it may have been done), `done`, `refused` (the call was over, or Twilio would not), `failed` (nothing was done).",
    ),
    "column call_log.action_note": (
        "Reason why the action was refused or failed, or why its outcome is not known.",
        "Why it was refused or failed, or why it is not known whether it was done.",
    ),
    "column call_log.action_at": (
        "Time when action_state last changed.",
        "When action_state last changed.",
    ),
    "column call_log.reconciled_at": (
        "Time when Twilio's API was last queried for lost callbacks after the call had ended. Null if never queried.",
        "When Twilio was last asked, after the call had ended, for what its callbacks left out; null if never.",
    ),
    "column call_log.created_at": (
        "Time when this service first stored the call: from a callback, a live stream, its own call request or Twilio's API.",
        "When the call was first heard of: by its first callback, by being placed here, or by asking Twilio.",
    ),
    "column call_log.updated_at": (
        "Time when this row last changed.",
        "When this row last changed.",
    ),
    "table recording": (
        "One row per recording. Each row is also the job of judging the recording.",
        "One row a recording, which is also the job of judging it.",
    ),
    "column recording.recording_sid": (
        "Twilio's RecordingSid. For a live stream: its StreamSid (MZ…).",
        "Twilio's RecordingSid; of a live stream its StreamSid, MZ….",
    ),
    "column recording.call_sid": (
        "CallSid of the recorded call.",
        "The call it belongs to.",
    ),
    "column recording.account_sid": (
        "Twilio account or subaccount whose credentials are used to fetch the recording.",
        "Twilio account or subaccount whose credentials fetch it.",
    ),
    "column recording.recording_status": (
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` never changes. For a live stream: `completed`, or `broken-off` if the connection was lost before the verdict. If the status is `broken-off`, the verdict on a recording takes precedence.",
        "Twilio's RecordingStatus: `in-progress`, `completed`, `absent`, `failed`. `completed` stays. Of a live stream `completed`, or `broken-off`: lost before its verdict stood, so a recording's comes first.",
    ),
    "column recording.source": (
        "Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`. The source determines the called party's channel. `MediaStream` for a live stream.",
        "Twilio's RecordingSource, e.g. `OutboundAPI` or `DialVerb`: decides the called party's channel. `MediaStream` for a live stream.",
    ),
    "column recording.channels": (
        "Twilio's RecordingChannels: number of channels.",
        "Twilio's RecordingChannels.",
    ),
    "column recording.started_at": (
        "Twilio's RecordingStartTime. The recordings of a call are sorted by this time.",
        "Twilio's RecordingStartTime; orders the recordings of a call.",
    ),
    "column recording.error_code": (
        "Twilio's ErrorCode. 0 means no error.",
        "Twilio's ErrorCode; 0 means none.",
    ),
    "column recording.state": (
        "`noted` (no audio to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (given up, see failure).",
        "`noted` (nothing to fetch yet), `queued`, `running`, `done` (has a verdict), `dead` (see failure).",
    ),
    "column recording.attempts": (
        "Number of attempts to judge the recording. Released attempts are not counted.",
        "How often a worker has claimed it.",
    ),
    "column recording.available_at": (
        "Earliest time at which a worker may claim the recording: time of enqueueing, end of the retry delay, or end of the current worker's lease.",
        "When it may be claimed: now, after a retry's delay, or when the lease of its worker runs out.",
    ),
    "column recording.locked_by": (
        "Worker that has claimed the recording, followed by `#` and a random token of the claim. Null unless state is `running`.",
        "The worker that holds it, `#` and a mark of this claim; null unless running.",
    ),
    "column recording.last_error": (
        "Error of the latest failed attempt.",
        "What went wrong in the latest attempt that failed.",
    ),
    "column recording.last_failure": (
        "Value that is written to the column failure if no attempt is left after the latest error.",
        "The reason that will be written if the attempts run out on the latest error.",
    ),
    "column recording.failure": (
        "Reason why the recording could not be judged. Has a value if and only if state is `dead`.",
        "Why it could not be judged; not null exactly when dead.",
    ),
    "column recording.queued_at": (
        "Time when the recording was enqueued or requeued. A retry does not change this time.",
        "When it was first put up for work.",
    ),
    "column recording.finished_at": (
        "Time when state became `done` or `dead`.",
        "When it became done or dead.",
    ),
    "column recording.erase_after": (
        "Earliest time of the next attempt to delete Twilio's copy, if AMD_DELETE_RECORDINGS is on.",
        "When Twilio's copy may next be tried to be deleted, where that is wanted.",
    ),
    "column recording.erased_at": (
        "Time when Twilio's copy was deleted, or was found to be missing.",
        "When Twilio's copy was deleted, or found gone.",
    ),
    "column recording.created_at": (
        "Time when this row was inserted.",
        "When its first callback came in.",
    ),
    "column recording.updated_at": (
        "Time when this row last changed.",
        "When this row last changed.",
    ),
    "table verdict": (
        "One row per model run. A verdict without a model run (no speech, or too short) has one row without scores.",
        "Every model run; a verdict without one (no speech, too short) leaves a row without scores.",
    ),
    "column verdict.id": (
        "Number of the row, in order of writing.",
        "Order of writing.",
    ),
    "column verdict.recording_sid": (
        "RecordingSid or StreamSid of the judged recording.",
        "The recording that was judged.",
    ),
    "column verdict.source": (
        "Basis of the verdict: `recording`, or `stream` (live).",
        "What was listened to: `recording`, or `stream` (live).",
    ),
    "column verdict.attempt": (
        "Number of the attempt that made this run.",
        "The job's attempt this came from.",
    ),
    "column verdict.run_number": (
        "Number of the run within its attempt, starting at 1. If no model ran, the number is 0.",
        "Which run of that attempt, from 1; 0 when no model ran.",
    ),
    "column verdict.decided": (
        "True if the verdict is based on this run, which is the last run of its attempt.",
        "Whether the verdict rests on this run: the last of its attempt.",
    ),
    "column verdict.label": (
        "`human`, `voicemail` or `undecided`. Null if `decided` is false.",
        "`human`, `voicemail` or `undecided`; on the deciding run only.",
    ),
    "column verdict.confidence": (
        "Probability of the top class, from 0 to 1. Null if no model ran, or if `decided` is false.",
        "Probability of the top class, 0 to 1; null when no model ran, and on runs that did not decide.",
    ),
    "column verdict.reason": (
        "`confident`, `low_confidence`, `no_speech` or `too_short`. Null if `decided` is false.",
        "`confident`, `low_confidence`, `no_speech` or `too_short`; on the deciding run only.",
    ),
    "column verdict.channel": (
        "Number of the judged channel, from 1. Null if the channels were mixed.",
        "Judged channel, from 1; null when the audio was mixed down.",
    ),
    "column verdict.channels_mixed": (
        "True if caller and called party were judged as one mixed signal.",
        "True when caller and called party were judged as one sound.",
    ),
    "column verdict.onset_ms": (
        "Start of speech, in milliseconds from the start of the recording. Null if no speech was found.",
        "Where speech begins in the recording, in milliseconds; null when none was found.",
    ),
    "column verdict.window_start_ms": (
        "Start of the window given to the model, in milliseconds from the start of the recording.",
        "Where the window begins in the recording, in ms.",
    ),
    "column verdict.window_ms": (
        "Length of the window given to the model, in milliseconds.",
        "Length of the window given to the model, in ms.",
    ),
    "column verdict.human_score": (
        "Probability of human in this run, from 0 to 1.",
        "Probability of human in this run.",
    ),
    "column verdict.voicemail_score": (
        "Probability of voicemail in this run, from 0 to 1.",
        "Probability of voicemail in this run.",
    ),
    "column verdict.inference_ms": (
        "Duration of the model run, in milliseconds.",
        "Milliseconds the model took.",
    ),
    "column verdict.model_id": (
        "Hugging Face hub id or folder of the model.",
        "Hub id or folder of the model.",
    ),
    "column verdict.model_revision": (
        "Resolved commit of a model from the Hugging Face hub. Null for a model from a folder.",
        "Resolved commit of a hub model; null for a model from a folder.",
    ),
    "column verdict.proof": (
        "Result of the check of the model's label order with the golden clips (recordings with known labels).",
        "What the golden clips said about the model's label order.",
    ),
    "column verdict.policy": (
        "Thresholds that the service used for this verdict.",
        "The thresholds that were in force.",
    ),
    "column verdict.policy_version": (
        "First 12 hex digits of the SHA-256 of policy. Equal thresholds have equal versions.",
        "First 12 hex digits of the SHA-256 of policy: equal exactly when the thresholds are.",
    ),
    "column verdict.created_at": (
        "Time when this row was inserted.",
        "When it was written.",
    ),
    "table callback": (
        "One row per accepted webhook request, with its parameters. A repeated delivery adds no row.",
        "Every accepted webhook request as it came, once: a repeated delivery leaves no second row.",
    ),
    "column callback.id": (
        "Number of the row, in order of arrival.",
        "Order of arrival.",
    ),
    "column callback.sha256": (
        "SHA-256, in hex, of the route and the sorted decoded parameters. Unique, so that a repeated delivery adds no row.",
        "SHA-256, in hex, of the route and the sorted decoded parameters: what makes it unique.",
    ),
    "column callback.route": (
        "Receiving route: `status`, `recording` or `amd`. `rest` for responses of Twilio's API.",
        "Where it came in: `status`, `recording`, `amd`; `rest` for what Twilio's API told.",
    ),
    "column callback.call_sid": (
        "Twilio's CallSid. Null for a conference recording that names no call.",
        "Twilio's CallSid; null for a recording of a conference, which names no call.",
    ),
    "column callback.recording_sid": (
        "Twilio's RecordingSid. Null for a callback about the call.",
        "Twilio's RecordingSid; null for a callback about the call itself.",
    ),
    "column callback.account_sid": (
        "Twilio account or subaccount that signed the request.",
        "Twilio account or subaccount that signed it.",
    ),
    "column callback.parameters": (
        "All form parameters, decoded, in the order sent: a list of [name, value]. Characters that Postgres cannot store are replaced by U+FFFD. Null after the parameters were deleted because of their age.",
        "All form parameters as decoded, in the order sent: a list of [name, value]. Characters Postgres cannot hold are replaced by U+FFFD. Null once they were dropped for their age.",
    ),
    "column callback.facts": (
        "Parsed values of the callback. A key is missing if the callback had no value for it.",
        "What was understood of it; a key is absent where the callback said nothing.",
    ),
    "column callback.idempotency_token": (
        "The I-Twilio-Idempotency-Token header. Twilio does not sign it, so no code depends on it.",
        "The I-Twilio-Idempotency-Token header. Not signed by Twilio, so nothing depends on it.",
    ),
    "column callback.received_at": (
        "Time when the request was first received.",
        "When it first came in.",
    ),
    "table call_request": (
        "One row per request to Twilio to place a call. The rows prevent a second call for the same Idempotency-Key, and are the basis of the rate limit.",
        "Every call we asked Twilio to place: its Idempotency-Key, and what the rate limit counts.",
    ),
    "column call_request.key": (
        "The client's Idempotency-Key, or a generated key if the client sent none.",
        "The Idempotency-Key; one of our own making where none was given.",
    ),
    "column call_request.fingerprint": (
        "HMAC-SHA256 of the request, in hex, keyed with the account's REST secret. The same Idempotency-Key with another request is refused.",
        "HMAC-SHA256, in hex and keyed with the account's REST secret, of what was asked for: the same key with another request is refused.",
    ),
    "column call_request.account_sid": (
        "Twilio account that places the call.",
        "Twilio account that places it.",
    ),
    "column call_request.outcome": (
        "`pending` (the request is running, or its process has crashed), `placed`, `unknown` (Twilio's response was lost).",
        "`pending` (Twilio is being asked, or the process died meanwhile), `placed`, `unknown` (its answer was lost).",
    ),
    "column call_request.call_sid": (
        "CallSid of the placed call. Has a value if and only if outcome is `placed`.",
        "The call; not null exactly when placed.",
    ),
    "column call_request.created_at": (
        "Time of the request.",
        "When it was asked for.",
    ),
    "table sweep": (
        "One row per Twilio account: progress and lease of its sweeps. A sweep reconciles the account with Twilio's API.",
        "One row an account: how far Twilio was asked for what its callbacks left out.",
    ),
    "column sweep.swept_until": (
        "Calls and recordings created before this time are reconciled. Null until the first sweep ends.",
        "Calls and recordings made before it have been asked for. Null until the first sweep ended.",
    ),
    "column sweep.created_at": (
        "Time of the account's first sweep. Unknown calls that are older are stored only by `amd-service reconcile`.",
        "When the account was first swept. Unheard-of calls that began before are taken in by hand only.",
    ),
    "column sweep.available_at": (
        "Time when the next sweep is due, or end of the running sweep's lease.",
        "When the next sweep is due, or when the lease of the running one ends.",
    ),
    "view call_log_agreement": (
        "Our verdicts compared with Twilio's own answering-machine detection: one row per day and label. Only calls with both results are counted. A view that the dashboard role may read.",
        "Our verdicts beside Twilio's own answering-machine detection: a row a day and label, over the calls that have both. A view; the dashboard role may read it.",
    ),
    "column call_log_agreement.day": (
        "Day of the answer, in UTC. If the time of the answer is not known: day of created_at.",
        "Day of the answer, in UTC; of the call's first callback where the answer's time is not known.",
    ),
    "column call_log_agreement.calls": (
        "Number of calls on this day with this label and with a result of Twilio's detection.",
        "Calls of that day with that label on which Twilio gave an opinion.",
    ),
    "column call_log_agreement.twilio_human": (
        "Number of these calls that Twilio classified as human.",
        "Of these, the calls Twilio took for a human.",
    ),
    "column call_log_agreement.twilio_machine": (
        "Number of these calls that Twilio classified as machine (`machine_start`, `machine_end_…`).",
        "Of these, the calls Twilio took for a machine (`machine_start`, `machine_end_…`).",
    ),
    "column call_log_agreement.twilio_other": (
        "Number of these calls that Twilio classified as neither (`fax`, `unknown`).",
        "Of these, the calls on which Twilio took no side (`fax`, `unknown`).",
    ),
    "column call_log_agreement.agreed": (
        "Number of these calls on which both results agree. Our label `undecided` never agrees.",
        "Calls on which both said the same. Our `undecided` agrees with nothing.",
    ),
    "column call_log_agreement.agreement": (
        "`agreed` divided by the number of calls that both classified as human or machine: 0 to 1. Null if there are no such calls.",
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
