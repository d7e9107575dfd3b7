"""The order of arrival of callbacks does not change the rows."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amd_service.database.pool import Database
from amd_service.domain import Tagging
from tests.support.deliveries import (
    Delivery,
    Tagged,
    amd,
    call_row,
    deliver,
    recording,
    recording_row,
    snapshot,
    status,
)
from tests.support.inbox import fold_all, interrupted_fold, put
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, PARENT, RECORDED, RINGING
from tests.support.postgres import empty
from tests.support.sids import SECOND_RECORDING

pytestmark = pytest.mark.anyio

CALLS: tuple[tuple[Delivery, ...], ...] = (
    (INITIATED, RINGING, ANSWERED, COMPLETED, recording("in-progress"), RECORDED),
    (
        INITIATED,
        RINGING,
        ANSWERED,
        COMPLETED,
        RECORDED,
        recording("in-progress", SECOND_RECORDING),
        recording("absent", SECOND_RECORDING),
    ),
    (INITIATED, COMPLETED, recording("absent"), recording("failed"), recording("completed", SECOND_RECORDING)),
    (INITIATED, RINGING, status("busy", sequence=2), recording("absent", error_code=16101)),
    (INITIATED, RINGING, status("no-answer", sequence=2), recording("in-progress"), recording("failed")),
    (RINGING, status("busy", sequence=2), status("failed", sequence=2), recording("completed"), recording("absent")),
    (
        replace(INITIATED, sequence_number=None, timestamp=None),
        replace(ANSWERED, sequence_number=None, direction="outbound-dial"),
        replace(RINGING, call_status="teleported"),
        COMPLETED,
        replace(COMPLETED, duration_s=43, answered_by="unknown"),
    ),
    (INITIATED, ANSWERED, amd("machine_start", 4100), amd("machine_end_beep", 7900), amd("unknown"), COMPLETED),
    (
        INITIATED,
        Tagged(INITIATED, Tagging("spring", ("vip",))),
        Tagged(ANSWERED, Tagging("autumn", tuple(f"t{number}" for number in range(9)))),
        Tagged(COMPLETED, Tagging("spring")),
        Tagged(RECORDED, Tagging("a-recording", ("dual", "english"))),
        Tagged(amd("human", 900), Tagging("a-detection", ("amd",))),
        RECORDED,
    ),
    (Tagged(RECORDED, Tagging("winter")), Tagged(amd("human"), Tagging("autumn", ("vip",))), COMPLETED),
    (amd("fax"), replace(ANSWERED, answered_by=None), replace(COMPLETED, parent_call_sid=PARENT)),
)


@pytest.fixture(scope="module")
def in_order() -> dict[int, dict[str, list[dict[str, Any]]]]:
    """The rows after each of CALLS, delivered once and in order; computed on first use."""
    return {}


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[Delivery]]:
    """The index of one of CALLS, and its callbacks shuffled, some of them repeated."""
    number = draw(st.integers(0, len(CALLS) - 1))
    repeated = draw(st.lists(st.sampled_from(CALLS[number]), max_size=3))
    return number, draw(st.permutations([*CALLS[number], *repeated]))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=deliveries())
async def test_any_order_and_any_repetition_end_in_the_same_rows(
    database: Database, in_order: dict[int, dict[str, list[dict[str, Any]]]], drawn: tuple[int, list[Delivery]]
) -> None:
    number, shuffled = drawn
    if number not in in_order:
        in_order[number] = await _rows_after(database, CALLS[number])
    assert await _rows_after(database, shuffled) == in_order[number]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=deliveries(), ways=st.lists(st.sampled_from(["wait", "fold", "interrupt", "at once"]), min_size=11))
async def test_the_inbox_gives_the_same_rows_whenever_it_is_folded(
    database: Database,
    in_order: dict[int, dict[str, list[dict[str, Any]]]],
    drawn: tuple[int, list[Delivery]],
    ways: list[str],
) -> None:
    """Some callbacks are folded at once, as by an older version. A fold may be interrupted before its commit."""
    number, shuffled = drawn
    if number not in in_order:
        in_order[number] = await _rows_after(database, CALLS[number])
    await empty(database)
    for delivery, way in zip(shuffled, ways, strict=False):
        match way:
            case "at once":
                await deliver(database, delivery)
            case "fold":
                await put(database, delivery)
                await fold_all(database)
            case "interrupt":
                await put(database, delivery)
                await interrupted_fold(database)
            case _:
                await put(database, delivery)
    await put(database, *shuffled[len(ways) :])
    await fold_all(database)
    assert await snapshot(database) == in_order[number]


async def _rows_after(database: Database, deliveries: Any) -> dict[str, list[dict[str, Any]]]:
    await empty(database)
    await deliver(database, *deliveries)
    return await snapshot(database)


async def test_concurrent_callbacks_of_one_call_give_the_same_row(database: Database) -> None:
    everything = (INITIATED, RINGING, ANSWERED, COMPLETED, RECORDED, recording("in-progress"))
    await asyncio.gather(*(deliver(database, one) for one in everything))
    at_once = await snapshot(database)
    await empty(database)
    await deliver(database, *everything)
    assert at_once == await snapshot(database)


async def test_late_ringing_does_not_reopen_a_completed_call(database: Database) -> None:
    await deliver(database, COMPLETED, RINGING, status("in-progress", sequence=9))
    assert (await call_row(database)).call_status == "completed"


async def test_the_first_terminal_status_is_final(database: Database) -> None:
    await deliver(database, COMPLETED, status("failed", sequence=7))
    assert (await call_row(database)).call_status == "completed"


async def test_callbacks_without_sequence_numbers_are_ordered_by_status(database: Database) -> None:
    answered = replace(ANSWERED, sequence_number=None)
    await deliver(database, answered, replace(RINGING, sequence_number=None))
    assert (await call_row(database)).call_status == "in-progress"


async def test_an_unknown_status_is_stored_and_does_not_replace_a_known_status(database: Database) -> None:
    await deliver(database, replace(RINGING, call_status="teleported", sequence_number=None), RINGING)
    assert (await call_row(database)).call_status == "ringing"
    await deliver(database, replace(RINGING, call_status="teleported", sequence_number=2), COMPLETED)
    assert (await call_row(database)).call_status == "completed"


@pytest.mark.parametrize("order", [1, -1])
async def test_a_completed_recording_stays_completed_before_and_after_absent(database: Database, order: int) -> None:
    await deliver(database, *[RECORDED, recording("absent")][::order])
    row = await recording_row(database)
    assert (row.recording_status, row.state, row.failure) == ("completed", "queued", None)
    assert (await call_row(database)).analysis_state == "queued"
