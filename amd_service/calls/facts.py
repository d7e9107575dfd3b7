"""Merges all callbacks of a call, or of a recording, into one set of facts (parsed values).

Each value depends on the set of callbacks and never on their order of arrival, so late, early and repeated callbacks
are harmless.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from amd_service.domain import (
    TERMINAL_CALL_STATUSES,
    AmdCallback,
    CallStatus,
    RecordingCallback,
    RecordingStatus,
    StatusCallback,
)

T = TypeVar("T")

_BEFORE_ANSWER = (CallStatus.QUEUED, CallStatus.INITIATED, CallStatus.RINGING)

# If several terminal statuses have the same SequenceNumber, the first status in this list is used.
_TERMINAL_PREFERENCE: tuple[str, ...] = (
    CallStatus.COMPLETED,
    CallStatus.FAILED,
    CallStatus.NO_ANSWER,
    CallStatus.BUSY,
    CallStatus.CANCELED,
)

# The SequenceNumber that Twilio usually gives to each status, for callbacks without a SequenceNumber. An unknown status
# is stored, but it sorts before every known status, so it never replaces a known status.
_USUAL_POSITION: dict[str, int] = {
    CallStatus.QUEUED: -1,
    CallStatus.INITIATED: 0,
    CallStatus.RINGING: 1,
    CallStatus.IN_PROGRESS: 2,
    **dict.fromkeys(TERMINAL_CALL_STATUSES, 3),
}
_UNKNOWN_POSITION = -2

# `completed` has the highest rank, because a completed recording has audio.
_RECORDING_RANK: dict[str, int] = {
    RecordingStatus.IN_PROGRESS: 1,
    RecordingStatus.ABSENT: 2,
    RecordingStatus.FAILED: 3,
    RecordingStatus.COMPLETED: 4,
}

_STATUS = TypeAdapter(StatusCallback)
_RECORDING = TypeAdapter(RecordingCallback)
_AMD = TypeAdapter(AmdCallback)
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    StatusCallback: _STATUS,
    RecordingCallback: _RECORDING,
    AmdCallback: _AMD,
}


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Values that Twilio has reported about a call.

    A field is None if Twilio has not reported a value. Each field is a column of `call_log`.
    """

    direction: str | None
    from_number: str | None
    to_number: str | None
    parent_call_sid: str | None
    sip_response_code: int | None
    call_status: str | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    duration_s: int | None
    twilio_answered_by: str | None
    twilio_amd_ms: int | None


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """Values that Twilio has reported about a recording.

    A field is None if Twilio has not reported a value. Each field is a column of `recording`.
    """

    recording_status: str | None
    source: str | None
    track: str | None
    channels: int | None
    started_at: datetime | None
    duration_s: int | None
    error_code: int | None


def to_json(callback: StatusCallback | RecordingCallback | AmdCallback) -> dict[str, Any]:
    """Return a parsed callback as JSON, without the fields that are None."""
    dumped: dict[str, Any] = _ADAPTERS[type(callback)].dump_python(callback, mode="json", exclude_none=True)
    return dumped


def statuses_from_json(facts: Iterable[dict[str, Any]]) -> list[StatusCallback]:
    """Convert the JSON of `to_json` to status callbacks. Raises ValueError without the values."""
    return _validated(_STATUS, facts)


def recordings_from_json(facts: Iterable[dict[str, Any]]) -> list[RecordingCallback]:
    """Convert the JSON of `to_json` to recording callbacks. Raises ValueError without the values."""
    return _validated(_RECORDING, facts)


def amd_results_from_json(facts: Iterable[dict[str, Any]]) -> list[AmdCallback]:
    """Convert the JSON of `to_json` to results of Twilio's detection. Raises ValueError without the values."""
    return _validated(_AMD, facts)


def _validated(adapter: TypeAdapter[T], facts: Iterable[dict[str, Any]]) -> list[T]:
    try:
        return [adapter.validate_python(item) for item in facts]
    except ValidationError as error:
        # The text of the library repeats the values, which can be personal. The error is stored and logged.
        wrong = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ValueError("; ".join(wrong)) from None


def merge_call(callbacks: Iterable[StatusCallback], amd: Iterable[AmdCallback] = ()) -> CallFacts:
    """Merge the callbacks of a call. The first terminal status is final.

    `amd`: results of Twilio's asynchronous detection. These results come after the answer, so they override the values
    in the status callbacks. Of several results, the result with the longest detection is used. `twilio_amd_ms` is the
    last known duration among the callbacks with the same result as `twilio_answered_by`.
    """
    ordered = sorted(callbacks, key=sequence_key)
    by_duration = sorted(
        amd, key=lambda result: (-1 if (ms := result.machine_detection_ms) is None else ms, repr(result))
    )
    detections: list[StatusCallback | AmdCallback] = [*ordered, *by_duration]
    answered_by = _last(result.answered_by for result in detections)
    terminal = [callback for callback in ordered if callback.call_status in TERMINAL_CALL_STATUSES]
    current = terminal[:1] or ordered[-1:]
    return CallFacts(
        direction=_last(callback.direction for callback in ordered),
        from_number=_last(callback.from_number for callback in ordered),
        to_number=_last(callback.to_number for callback in ordered),
        parent_call_sid=_last(callback.parent_call_sid for callback in ordered),
        sip_response_code=_last(callback.sip_response_code for callback in ordered),
        call_status=current[0].call_status if current else None,
        started_at=_earliest(callback for callback in ordered if callback.call_status in _BEFORE_ANSWER),
        answered_at=_earliest(callback for callback in ordered if callback.call_status == CallStatus.IN_PROGRESS),
        ended_at=_earliest(terminal),
        duration_s=_last(callback.duration_s for callback in reversed(terminal)),
        twilio_answered_by=answered_by,
        twilio_amd_ms=_last(result.machine_detection_ms for result in detections if result.answered_by == answered_by),
    )


def merge_recording(callbacks: Iterable[RecordingCallback]) -> RecordingFacts:
    """Merge the callbacks of a recording. The status `completed` is final, because the recording has audio."""
    ordered = sorted(
        callbacks, key=lambda callback: (_RECORDING_RANK.get(callback.recording_status, 0), repr(callback))
    )
    return RecordingFacts(
        recording_status=_last(callback.recording_status for callback in ordered),
        source=_last(callback.source for callback in ordered),
        track=_last(callback.track for callback in ordered),
        channels=_last(callback.channels for callback in ordered),
        started_at=_last(callback.started_at for callback in ordered),
        duration_s=_last(callback.duration_s for callback in ordered),
        error_code=_last(callback.error_code for callback in ordered),
    )


def sequence_key(callback: StatusCallback) -> tuple[int, int, int, str]:
    """Return the sort key: SequenceNumber, then the usual position of the status, then the preference among terminal
    statuses.

    The last part is the callback's repr. Without the repr, callbacks with equal keys would keep their order of arrival.
    """
    usual = _USUAL_POSITION.get(callback.call_status, _UNKNOWN_POSITION)
    position = usual if callback.sequence_number is None else callback.sequence_number
    is_terminal = callback.call_status in _TERMINAL_PREFERENCE
    preference = _TERMINAL_PREFERENCE.index(callback.call_status) if is_terminal else 0
    return position, usual, preference, repr(callback)


def _last(values: Iterable[T | None]) -> T | None:
    known: Sequence[T] = [value for value in values if value is not None]
    return known[-1] if known else None


def _earliest(callbacks: Iterable[StatusCallback]) -> datetime | None:
    return min((callback.timestamp for callback in callbacks if callback.timestamp is not None), default=None)
