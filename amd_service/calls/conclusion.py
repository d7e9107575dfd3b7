"""Derives the analysis of a call from its status and from the results of its recordings. Makes no queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from amd_service.calls.tables import BROKEN_OFF, MEDIA_STREAM, Recording, RecordingState, VerdictRow
from amd_service.domain import TERMINAL_CALL_STATUSES, AnalysisState, CallStatus, Failure, Label

# Failure reasons of recordings that never had any audio.
WITHOUT_AUDIO = (Failure.NO_RECORDING, Failure.RECORDING_FAILED)

# Terminal statuses of a call that nobody answered.
_UNANSWERED = frozenset(TERMINAL_CALL_STATUSES) - {CallStatus.COMPLETED}

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """A recording, and the model run that its verdict is based on.

    `verdict`: None until the recording is done for the first time. A recording that is judged again keeps its verdict
    until the new verdict is written.
    """

    recording: Recording
    verdict: VerdictRow | None

    @property
    def is_stream(self) -> bool:
        return self.recording.source == MEDIA_STREAM

    @property
    def is_complete(self) -> bool:
        """False for a stream that broke off before its verdict: the stream may hold only half of the greeting."""
        return self.recording.recording_status != BROKEN_OFF

    @property
    def is_decided(self) -> bool:
        return self.verdict is not None and self.verdict.label in (Label.HUMAN, Label.VOICEMAIL)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The analysis of a call. `result`: the basis of the verdict. `failure`: the reason if the analysis failed."""

    state: AnalysisState
    result: RecordingResult | None = None
    failure: str | None = None


def conclude(
    call_status: str | None,
    results: Sequence[RecordingResult],
    *,
    is_child: bool = False,
    is_reconciled: bool = False,
) -> Conclusion:
    """Return the analysis of a call, computed from the results of its recordings.

    The order of `results` does not matter.

    `is_child`: another call dialled this leg. `is_reconciled`: Twilio's API listed the recordings after the call ended.

    A result is decided if its label is human or voicemail. Exception: a stream that broke off is not decided. All other
    results are weak. The conclusion is the first of these that exists:

    1. A decided result of a live stream, because its verdict came first.
    2. The decided result of the recording that started earliest.
    3. RUNNING or QUEUED while a recording without a result is unfinished, because it may still decide.
    4. WAITING if only streams have results and a recording is still expected.
    5. A weak result of a recording, because a recording holds the whole call.
    6. A weak result of a stream.
    """
    ordered = sorted(results, key=lambda result: (result.recording.started_at or _LAST, result.recording.recording_sid))
    judged = [result for result in ordered if result.verdict is not None]
    decided = [result for result in judged if result.is_decided and result.is_complete]
    if decided:
        return Conclusion(AnalysisState.JUDGED, min(decided, key=lambda result: not result.is_stream))
    states = {result.recording.state for result in ordered if result.verdict is None}
    if RecordingState.RUNNING in states:
        return Conclusion(AnalysisState.RUNNING)
    if RecordingState.QUEUED in states:
        return Conclusion(AnalysisState.QUEUED)
    if judged:
        is_final = is_reconciled and call_status in TERMINAL_CALL_STATUSES
        if RecordingState.NOTED in states and not is_final and all(result.is_stream for result in judged):
            return Conclusion(AnalysisState.WAITING)
        return Conclusion(AnalysisState.JUDGED, min(judged, key=lambda weak: (weak.is_stream, not weak.is_decided)))
    return _conclude_without_verdict(call_status, ordered, is_child=is_child, is_reconciled=is_reconciled)


def _conclude_without_verdict(
    call_status: str | None, ordered: Sequence[RecordingResult], *, is_child: bool, is_reconciled: bool
) -> Conclusion:
    failures = [result.recording.failure for result in ordered if result.recording.state == RecordingState.DEAD]
    if call_status in _UNANSWERED and all(failure in WITHOUT_AUDIO for failure in failures):
        return Conclusion(AnalysisState.NOT_APPLICABLE)
    # Twilio lists the recordings of a two-leg call under the parent call. A leg may still get a recording until the
    # leg ends.
    if not ordered and is_child and call_status in TERMINAL_CALL_STATUSES:
        return Conclusion(AnalysisState.NOT_APPLICABLE)
    if not ordered and is_reconciled and call_status == CallStatus.COMPLETED:
        return Conclusion(AnalysisState.FAILED, failure=Failure.NO_RECORDING)
    is_waiting = any(result.recording.state == RecordingState.NOTED for result in ordered)
    if is_waiting or not failures:
        return Conclusion(AnalysisState.WAITING)
    return Conclusion(AnalysisState.FAILED, failure=failures[0])
