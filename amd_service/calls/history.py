"""What the callbacks of a call add up to, whatever order they came in.

Nothing here depends on arrival: each value is a function of the set of callbacks. That is what makes a late, a
repeated or an early callback harmless.
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

# Of several terminal statuses in one position the first of these counts.
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

# `completed` has audio, so it outranks both ways of having none.
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
    """What Twilio has told about a call; None is no news. Fields are columns of `call_log`."""

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
    """What Twilio has told about a recording; None is no news. Fields are columns of `recording`."""

    recording_status: str | None
    source: str | None
    track: str | None
    channels: int | None
    started_at: datetime | None
    duration_s: int | None
    error_code: int | None


def to_facts(callback: StatusCallback | RecordingCallback | AmdCallback) -> dict[str, Any]:
    """A callback as JSON, without what it did not say."""
    dumped: dict[str, Any] = _ADAPTERS[type(callback)].dump_python(callback, mode="json", exclude_none=True)
    return dumped


def statuses_from(facts: Iterable[dict[str, Any]]) -> list[StatusCallback]:
    """The status callbacks that `to_facts` wrote."""
    return [_STATUS.validate_python(item) for item in facts]


def recordings_from(facts: Iterable[dict[str, Any]]) -> list[RecordingCallback]:
    """The recording callbacks that `to_facts` wrote."""
    return [_RECORDING.validate_python(item) for item in facts]


def amd_results_from(facts: Iterable[dict[str, Any]]) -> list[AmdCallback]:
    """The results of Twilio's detection that `to_facts` wrote."""
    return [_AMD.validate_python(item) for item in facts]


def call_facts(callbacks: Iterable[StatusCallback], amd: Iterable[AmdCallback] = ()) -> CallFacts:
    """The call as its callbacks tell it. The first terminal status stays, whatever comes after.

    `amd`: results of Twilio's asynchronous detection. They come after the answer, so they have the last word over what
    a status callback said; of several the one that took longest. How long it took comes with the answer: what
    another answer took says nothing about this one.
    """
    ordered = sorted(callbacks, key=_in_time)
    answered_by, amd_ms = _opinion([*ordered, *sorted(amd, key=_by_duration)])
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
        twilio_amd_ms=amd_ms,
    )


def recording_facts(callbacks: Iterable[RecordingCallback]) -> RecordingFacts:
    """The recording as its callbacks tell it. `completed` stays: there is audio."""
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


def _in_time(callback: StatusCallback) -> tuple[int, int, int, str]:
    """Sort key: SequenceNumber, then the state's rank; among terminal ones `completed` comes first.

    The callback's text at the end makes the order total, so that equal keys cannot fall back on arrival.
    """
    usual = _USUAL_POSITION.get(callback.call_status, _UNKNOWN_POSITION)
    position = usual if callback.sequence_number is None else callback.sequence_number
    is_terminal = callback.call_status in _TERMINAL_PREFERENCE
    preference = _TERMINAL_PREFERENCE.index(callback.call_status) if is_terminal else 0
    return position, usual, preference, repr(callback)


def _by_duration(result: AmdCallback) -> tuple[int, str]:
    return -1 if result.machine_detection_ms is None else result.machine_detection_ms, repr(result)


def _opinion(said: Sequence[StatusCallback | AmdCallback]) -> tuple[str | None, int | None]:
    """The last answer of Twilio's detection, and how long it took where that was told, perhaps by another callback."""
    answer = _last(opinion.answered_by for opinion in said)
    return answer, _last(opinion.machine_detection_ms for opinion in said if opinion.answered_by == answer)


def _last(values: Iterable[T | None]) -> T | None:
    said: Sequence[T] = [value for value in values if value is not None]
    return said[-1] if said else None


def _earliest(callbacks: Iterable[StatusCallback]) -> datetime | None:
    return min((callback.timestamp for callback in callbacks if callback.timestamp is not None), default=None)
