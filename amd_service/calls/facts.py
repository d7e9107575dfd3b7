"""The facts of a call and of a recording, merged from their callbacks.

Each value is a function of the set of callbacks and never of their order of arrival. This makes late, repeated and
early callbacks harmless.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

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

# If several terminal statuses share a position, the first of these wins.
_TERMINAL_PREFERENCE: tuple[str, ...] = (
    CallStatus.COMPLETED,
    CallStatus.FAILED,
    CallStatus.NO_ANSWER,
    CallStatus.BUSY,
    CallStatus.CANCELED,
)

# The SequenceNumber that Twilio usually gives to each status; used for a callback without one. An unknown status sorts
# before all of them: it is kept, and does not replace a known one.
_USUAL_POSITION: dict[str, int] = {
    CallStatus.QUEUED: -1,
    CallStatus.INITIATED: 0,
    CallStatus.RINGING: 1,
    CallStatus.IN_PROGRESS: 2,
    **dict.fromkeys(TERMINAL_CALL_STATUSES, 3),
}
_UNKNOWN_POSITION = -2

# `completed` has audio, so it outranks `absent` and `failed`.
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
    """What Twilio has reported about a call; None if it has not. Fields are columns of `call_log`."""

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
    """What Twilio has reported about a recording; None if it has not. Fields are columns of `recording`."""

    recording_status: str | None
    source: str | None
    track: str | None
    channels: int | None
    started_at: datetime | None
    duration_s: int | None
    error_code: int | None


def to_json(callback: StatusCallback | RecordingCallback | AmdCallback) -> dict[str, Any]:
    """A parsed callback as JSON, without the fields that are None."""
    dumped: dict[str, Any] = _ADAPTERS[type(callback)].dump_python(callback, mode="json", exclude_none=True)
    return dumped


def statuses_from_json(facts: Iterable[dict[str, Any]]) -> list[StatusCallback]:
    """The status callbacks that `to_json` wrote."""
    return [_STATUS.validate_python(item) for item in facts]


def recordings_from_json(facts: Iterable[dict[str, Any]]) -> list[RecordingCallback]:
    """The recording callbacks that `to_json` wrote."""
    return [_RECORDING.validate_python(item) for item in facts]


def amd_results_from_json(facts: Iterable[dict[str, Any]]) -> list[AmdCallback]:
    """The results of Twilio's detection that `to_json` wrote."""
    return [_AMD.validate_python(item) for item in facts]


def merge_call(callbacks: Iterable[StatusCallback], amd: Iterable[AmdCallback] = ()) -> CallFacts:
    """The call according to its callbacks. The first terminal status stays, whatever comes after it.

    `amd`: results of Twilio's asynchronous detection. They come after the answer, so they override the status
    callbacks; of several, the one that took longest wins. `twilio_amd_ms` is always that of the winning result.
    """
    ordered = sorted(callbacks, key=_sequence_key)
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
    """The recording according to its callbacks. `completed` stays: there is audio."""
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


def _sequence_key(callback: StatusCallback) -> tuple[int, int, int, str]:
    """Sort key: SequenceNumber, then the status's usual position; among terminal statuses `completed` comes first.

    The callback's repr makes the order total. Without it, callbacks with equal keys would keep their order of arrival.
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
