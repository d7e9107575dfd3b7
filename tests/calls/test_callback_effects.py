"""The changes that each callback of a call made, in Twilio's order."""

from datetime import UTC, datetime
from itertools import count

from amd_service.calls import facts
from amd_service.calls.callback_effects import Change, Effect, find_effects
from amd_service.calls.tables import Callback, CallLog
from amd_service.domain import AmdCallback, RecordingCallback, StatusCallback
from tests.support.deliveries import amd, recording, status
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, RECORDED, RINGING
from tests.support.sids import ACCOUNT, CALL, OTHER_ACCOUNT, SECOND_RECORDING

CALL_ROW = CallLog(call_sid=CALL, account_sid=ACCOUNT)


def arrived(*events: StatusCallback | RecordingCallback | AmdCallback) -> list[Callback]:
    """The rows of callbacks that arrived in this order."""
    numbers = count(1)
    return [
        Callback(
            id=next(numbers),
            route="amd" if isinstance(event, AmdCallback) else "status",
            account_sid=event.account_sid,
            recording_sid=event.recording_sid if isinstance(event, RecordingCallback) else None,
            facts=facts.to_json(event),
            received_at=datetime.now(UTC),
        )
        for event in events
    ]


def changed(effect: Effect) -> dict[str, tuple[object, object]]:
    return {change.name: (change.before, change.after) for change in effect.changes}


def test_each_callback_changes_what_it_is_first_to_say() -> None:
    initiated, ringing, answered, completed = find_effects(CALL_ROW, arrived(INITIATED, RINGING, ANSWERED, COMPLETED))
    assert changed(initiated)["call_status"] == (None, "initiated")
    assert changed(initiated)["to_number"] == (None, "+15005550001")
    assert changed(ringing) == {"call_status": ("initiated", "ringing")}
    assert changed(answered)["twilio_answered_by"] == (None, "human")
    assert {"call_status", "ended_at", "duration_s"} == set(changed(completed))
    assert not any(effect.is_late for effect in (initiated, ringing, answered, completed))


def test_a_late_callback_stands_at_its_place_and_changed_nothing() -> None:
    effects = find_effects(CALL_ROW, arrived(INITIATED, ANSWERED, COMPLETED, RINGING))
    assert [effect.callback.id for effect in effects] == [1, 4, 2, 3]
    assert (effects[1].changes, effects[1].is_late) == ((), True)


def test_a_late_callback_can_add_what_was_not_known() -> None:
    effects = find_effects(CALL_ROW, arrived(COMPLETED, ANSWERED))
    assert effects[0].is_late
    assert set(changed(effects[0])) == {"answered_at", "twilio_answered_by", "twilio_amd_ms"}


def test_a_repetition_with_other_parameters_changed_nothing() -> None:
    effects = find_effects(CALL_ROW, arrived(RINGING, RINGING))
    assert (effects[1].changes, effects[1].is_late) == ((), False)


def test_callbacks_without_a_number_stand_where_twilio_usually_sends_them() -> None:
    began = recording("in-progress")
    effects = find_effects(CALL_ROW, arrived(RECORDED, COMPLETED, began, amd("human", 2900), ANSWERED))
    assert [effect.callback.id for effect in effects] == [5, 4, 3, 2, 1]


def test_recordings_are_merged_one_by_one() -> None:
    other = recording("absent", SECOND_RECORDING)
    first, second = find_effects(CALL_ROW, arrived(RECORDED, other))
    assert changed(first)["recording_status"] == (None, "completed")
    assert changed(second)["recording_status"] == (None, "absent")


def test_a_callback_of_another_account_was_ignored() -> None:
    (effect,) = find_effects(CALL_ROW, arrived(status("completed", account_sid=OTHER_ACCOUNT)))
    assert (effect.is_foreign, effect.changes) == (True, ())


def test_a_later_result_of_twilios_detection_replaces_an_earlier_one() -> None:
    effects = find_effects(CALL_ROW, arrived(ANSWERED, amd("machine_start", 4000)))
    assert Change("twilio_answered_by", "human", "machine_start") in effects[1].changes
