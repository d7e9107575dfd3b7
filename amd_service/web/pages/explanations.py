"""Says in plain sentences why a call has its verdict, or has none, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from string import Template

from amd_service.calls.tables import MEDIA_STREAM, CallLog, Recording, RecordingState, VerdictRow
from amd_service.calls.whole_call import WholeCall
from amd_service.domain import AnalysisState, Failure, Label, Reason
from amd_service.telemetry.command_name import with_command_name

Cause = Reason | Failure | AnalysisState


@dataclass(frozen=True, slots=True)
class Explanation:
    """`why`: one sentence. `cure`: what to do, or None if there is nothing to do."""

    why: str
    cure: str | None = None


# `$name` stands for a value of the call; see `_values`.
EXPLANATIONS: Mapping[Cause, Explanation] = {
    Reason.CONFIDENT: Explanation(
        "The model gave $top a score of $confidence, which reaches the threshold of $threshold."
    ),
    Reason.LOW_CONFIDENCE: Explanation(
        "Undecided, because the higher score, $confidence for $top, is below the threshold of $threshold.",
        "Listen to the call and answer what you hear. If many calls are undecided, lower AMD_MIN_CONFIDENCE, or set "
        "AMD_MODEL to a model that knows such calls better.",
    ),
    Reason.BEEP: Explanation(
        "A beep follows speech without a long pause, as at the end of a voicemail greeting. The model gave voicemail a "
        "score of $confidence.",
    ),
    Reason.DISAGREEMENT: Explanation(
        "Undecided, because the shorter of two windows, or the rhythm of speech and pauses, contradicts the last "
        "result of the model, which gave $top a score of $confidence.",
        "Listen to the call and answer what you hear. If the last result is right in most of these calls, set "
        "AMD_LONG_WINDOW=unsure or AMD_RHYTHM_EVIDENCE=off.",
    ),
    Reason.NO_SPEECH: Explanation(
        "Undecided, because the called party says nothing in the first 15 seconds of the recording.",
        "Listen to the call. If you hear the called party on the other channel, correct AMD_CHANNELS.",
    ),
    Reason.TOO_SHORT: Explanation(
        "Undecided, because the recording has less than one second of audio.",
        "There is nothing to judge. If many recordings are so short, check when your calls start to be recorded.",
    ),
    Failure.NO_RECORDING: Explanation(
        "No verdict, because Twilio has no recording of the called party.",
        "Record your calls from the answer with Record=true, and not with RecordingTrack=outbound.",
    ),
    Failure.RECORDING_FAILED: Explanation(
        "No verdict, because Twilio could not record the call (error code $error_code).",
        "Look up the code at https://www.twilio.com/docs/api/errors.",
    ),
    Failure.MEDIA_MISSING: Explanation(
        "No verdict, because Twilio did not have the audio of the recording: it was deleted, or it never appeared.",
        "Check that nothing else deletes your recordings. If Twilio has the recording now, analyse the call again.",
    ),
    Failure.UNAUTHORISED: Explanation(
        "No verdict, because this service has no valid credentials for the account $account.",
        "Correct TWILIO_API_KEY and TWILIO_API_SECRET or the auth token, restart, and analyse the call again.",
    ),
    Failure.ENCRYPTED: Explanation(
        "No verdict, because the recording is encrypted with a key of the account.",
        "Switch voice recording encryption off in the Twilio console. Old recordings stay encrypted.",
    ),
    Failure.EXTERNAL_STORAGE: Explanation(
        "No verdict, because the recording is stored outside Twilio.",
        "Switch external storage of recordings off in the Twilio console, or delay it until the verdict.",
    ),
    Failure.UNDECODABLE: Explanation(
        "No verdict, because the body that Twilio sent is not audio in a known format.",
        "Read the error of the recording below. Analyse the call again to download it once more.",
    ),
    Failure.MODEL_FAILED: Explanation(
        "No verdict, because the output of the model was not a probability.",
        "Check the model with `amd-service doctor`, and analyse the call again.",
    ),
    Failure.GAVE_UP: Explanation(
        "No verdict, because the last of $attempts attempts failed too.",
        "Read the error of the recording below. When its cause is gone, analyse the call again.",
    ),
    AnalysisState.WAITING: Explanation(
        "Waiting for a recording: Twilio has not reported one that can be judged.",
        "If none is reported, check that the call is recorded and that its RecordingStatusCallback leads to "
        "/twilio/recording of this service.",
    ),
    AnalysisState.QUEUED: Explanation(
        "The recording waits for a worker$next_try.",
        "If it stays here, check with `amd-service doctor` that a worker runs and that its model is ready. If an "
        "attempt failed, its error and the time of the next one are below.",
    ),
    AnalysisState.RUNNING: Explanation("A worker is judging the recording now."),
    AnalysisState.NOT_APPLICABLE: Explanation("There is nothing to judge, because nobody answered: $status."),
}
CHILD = Explanation(
    "There is nothing to judge here: the call $parent dialled this leg, and Twilio lists the recordings of both legs "
    "under that call."
)
AGAIN = "The call is being analysed again. The present verdict stays until the new one is written."

UNKNOWN = "unknown"


def explain(whole: WholeCall) -> Explanation:
    """Explain the verdict or the state of a call."""
    call = whole.call
    state = AnalysisState(call.analysis_state)
    values = _values(whole)
    if state is AnalysisState.NOT_APPLICABLE and call.parent_call_sid is not None:
        return _filled(CHILD, values)
    return _filled(EXPLANATIONS[_cause(call, state)], values)


def explain_new_analysis(whole: WholeCall) -> str | None:
    """Say that a judged call is being analysed again; None if it is not."""
    if whole.call.label is None or not _unfinished(whole.recordings):
        return None
    return AGAIN


def threshold_of(run: VerdictRow | None, label: Label) -> float | None:
    """Return the threshold that a run used for a label, or None if it is not stored."""
    policy = {} if run is None else run.policy
    least = policy.get("min_confidence")
    value = least.get(label) if isinstance(least, dict) else least
    return float(value) if isinstance(value, int | float) else None


def top_label(run: VerdictRow) -> Label:
    """Return the label with the higher score of a run that has scores."""
    return Label.HUMAN if (run.human_score or 0) > (run.voicemail_score or 0) else Label.VOICEMAIL


def deciding_run(whole: WholeCall) -> VerdictRow | None:
    """Return the run that gave the verdict of the call, or None if the call is not judged."""
    of_call = [run for run in whole.runs if run.decided and run.recording_sid == whole.call.recording_sid]
    return of_call[-1] if of_call and whole.call.label is not None else None


def _cause(call: CallLog, state: AnalysisState) -> Cause:
    match state:
        case AnalysisState.JUDGED:
            return Reason(call.reason or "")
        case AnalysisState.FAILED:
            return Failure(call.reason or "")
        case _:
            return state


def _filled(explanation: Explanation, values: Mapping[str, str]) -> Explanation:
    cure = explanation.cure
    why = Template(explanation.why).substitute(values)
    return Explanation(why, cure and with_command_name(Template(cure).substitute(values)))


def _values(whole: WholeCall) -> dict[str, str]:
    call, run = whole.call, deciding_run(whole)
    label = Label(call.label) if call.label in (Label.HUMAN, Label.VOICEMAIL) else None
    top = label or (top_label(run) if run is not None else None)
    threshold = None if top is None else threshold_of(run, top)
    tried = max((each.attempts for each in _unfinished(whole.recordings)), default=0)
    codes = [recording.error_code for recording in whole.recordings if recording.error_code]
    return {
        "top": top or UNKNOWN,
        "confidence": _distinct_percent(call.confidence, threshold),
        "threshold": percent(threshold),
        "error_code": str(codes[-1]) if codes else UNKNOWN,
        "account": call.account_sid,
        "attempts": str(max((recording.attempts for recording in whole.recordings), default=0)),
        "status": (call.call_status or UNKNOWN).replace("-", " "),
        "parent": call.parent_call_sid or UNKNOWN,
        "next_try": f", which makes attempt {tried + 1}" if tried else "",
    }


def _distinct_percent(value: float | None, other: float | None) -> str:
    """Return a probability as `percent` does, with more digits if it would look equal to another one."""
    if value is None or other is None or value == other or percent(value) != percent(other):
        return percent(value)
    digits = next((n for n in range(1, 9) if round(value * 100, n) != round(other * 100, n)), 1)
    return f"{value * 100:.{digits}f} %"


def _unfinished(recordings: Sequence[Recording]) -> list[Recording]:
    unfinished = (RecordingState.QUEUED, RecordingState.RUNNING)
    return [each for each in recordings if each.state in unfinished and each.source != MEDIA_STREAM]


def percent(value: float | None) -> str:
    """Return a probability as people read it, such as `93.1 %`.

    The value is rounded down, so that a score below a threshold never looks equal to it.
    """
    return UNKNOWN if value is None else f"{floor(round(value * 1000, 6)) / 10:.1f} %"
