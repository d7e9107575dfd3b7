"""Finds out what each callback of a call changed, from the stored facts (parsed values) of all its callbacks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from amd_service.calls import facts
from amd_service.calls.tables import Callback, CallLog
from amd_service.domain import AmdCallback, RecordingCallback, RecordingStatus, StatusCallback

Event = StatusCallback | RecordingCallback | AmdCallback
Position = tuple[float, int, int]

_AMD_ROUTE = "amd"
# Positions of callbacks without a SequenceNumber among the status callbacks of a usual call: Twilio's detection and the
# start of a recording follow the answer (2), and the end of a recording follows the end of the call (3).
_DETECTED, _RECORDING, _RECORDED = 2.25, 2.5, 100.0
# Position of callbacks that this version cannot read.
_UNREADABLE = 1000.0


@dataclass(frozen=True, slots=True)
class Change:
    """A value that a callback changed. `name`: the column of `call_log` or `recording`. `before`: None if unknown."""

    name: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Effect:
    """A callback with the values that it changed when it arrived.

    `event`: None for a callback that this version cannot read. `is_late`: it arrived after a callback that Twilio sent
    later. `is_foreign`: it is signed by another account than the call's, so it was ignored.
    """

    callback: Callback
    event: Event | None
    changes: tuple[Change, ...]
    is_late: bool
    is_foreign: bool


@dataclass(slots=True)
class _Known:
    """The callbacks that have arrived so far."""

    statuses: list[StatusCallback] = field(default_factory=list)
    detections: list[AmdCallback] = field(default_factory=list)
    recordings: defaultdict[str, list[RecordingCallback]] = field(default_factory=lambda: defaultdict(list))

    def add(self, event: Event) -> tuple[Change, ...]:
        """Add a callback, and return the values that it changed."""
        before = self._merged(event)
        match event:
            case StatusCallback():
                self.statuses.append(event)
            case AmdCallback():
                self.detections.append(event)
            case RecordingCallback():
                self.recordings[event.recording_sid].append(event)
        after = self._merged(event)
        return tuple(
            Change(name, before[name], value)
            for name, value in after.items()
            if value is not None and value != before[name]
        )

    def _merged(self, event: Event) -> dict[str, object]:
        if isinstance(event, RecordingCallback):
            return asdict(facts.merge_recording(self.recordings[event.recording_sid]))
        return asdict(facts.merge_call(self.statuses, self.detections))


def find_effects(call: CallLog, callbacks: Sequence[Callback]) -> list[Effect]:
    """Return the callbacks of a call in Twilio's order, each with what it changed.

    Twilio's order: by SequenceNumber, and then by the usual order of the statuses.
    """
    known = _Known()
    found: list[tuple[Position, Effect]] = []
    latest: Position | None = None
    for callback in sorted(callbacks, key=lambda each: each.id):
        is_foreign = callback.account_sid != call.account_sid
        try:
            event = _event_of(callback)
        except ValueError:
            found.append(((_UNREADABLE, 0, callback.id), Effect(callback, None, (), False, is_foreign)))
            continue
        position = _position(event, callback.id)
        changes = () if is_foreign else known.add(event)
        is_late = latest is not None and position[0] < latest[0]
        latest = position if latest is None else max(latest, position)
        found.append((position, Effect(callback, event, changes, is_late, is_foreign)))
    return [effect for _, effect in sorted(found, key=lambda each: each[0])]


def _event_of(callback: Callback) -> Event:
    if callback.recording_sid is not None:
        return facts.recordings_from_json([callback.facts])[0]
    if callback.route == _AMD_ROUTE:
        return facts.amd_results_from_json([callback.facts])[0]
    return facts.statuses_from_json([callback.facts])[0]


def _position(event: Event, arrival: int) -> Position:
    match event:
        case StatusCallback():
            first, usual, *_ = facts.sequence_key(event)
            return float(first), usual, arrival
        case AmdCallback():
            return _DETECTED, 0, arrival
        case RecordingCallback(recording_status=RecordingStatus.IN_PROGRESS):
            return _RECORDING, 0, arrival
        case RecordingCallback():
            return _RECORDED, 0, arrival
