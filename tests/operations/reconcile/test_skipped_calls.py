"""A sweep skips a call whose request fails, and aborts in an outage. No call is lost in either case.

Rows of unknown calls are not changed if Twilio knows none of our calls.
"""

from datetime import UTC, datetime, timedelta

import pytest

from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label, RecordingSid
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.rest_api import RestRequest
from amd_service.telemetry import Metrics
from tests.support.deliveries import call_row, claim, deliver, recording, settle, status
from tests.support.reconciliation import Make, age, answer_always, call_at_twilio, recorded, swept_until
from tests.support.sids import CALL
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio

YOUNGER = [CallSid(f"CA{number}" + "2" * 31) for number in range(4)]


async def open_call(database: Database, simulated_twilio: SimulatedTwilio, sid: CallSid, *, ago_s: float = 600) -> None:
    """A call that has ended at Twilio and is in progress in our database."""
    call_at_twilio(simulated_twilio, sid=sid, ending="busy", ago_s=8 * 3600)
    await deliver(database, status("ringing", call_sid=sid))
    await age(database, sid, ago_s)


@pytest.mark.parametrize("answer", [ScriptedResponse(500), ScriptedResponse(400), ScriptedResponse(200, b"<html>")])
async def test_a_failing_call_does_not_block_younger_calls(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, answer: ScriptedResponse
) -> None:
    for place, sid in enumerate([CALL, *YOUNGER]):
        await open_call(database, simulated_twilio, sid, ago_s=7200 - place)
    answer_always(simulated_twilio, CALL, answer)
    metrics = Metrics()
    (findings,) = await make(metrics=metrics).sweep_due_accounts()
    assert {(await call_row(database, sid)).call_status for sid in YOUNGER} == {"busy"}
    assert (findings.error, findings.calls_failed, findings.calls_asked) == (None, 1, 4)
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "reconciling"}) == 1
    assert await swept_until(database) is not None  # the call is open, so the next sweep requests it again
    simulated_twilio.rest.check = None
    await make().sweep_due_accounts()
    assert (await call_row(database)).call_status == "busy"


@pytest.mark.parametrize(
    ("answer", "asked"),
    [(ScriptedResponse(500), 3), (ScriptedResponse(429), 1), (ScriptedResponse(401), 1), (ScriptedResponse(403), 1)],
)
async def test_an_outage_aborts_the_sweep(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, answer: ScriptedResponse, asked: int
) -> None:
    for sid in (CALL, *YOUNGER):
        await open_call(database, simulated_twilio, sid)
    answer_always(simulated_twilio, "Calls/CA", answer)
    (findings,) = await make().sweep_due_accounts()
    assert findings.error is not None
    assert str(answer.status) in findings.error
    assert len([request for request in simulated_twilio.rest.requests if "Calls/CA" in request.path]) == asked
    assert await swept_until(database) is None


async def test_failures_with_successes_between_them_are_no_outage(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    for number in range(8):
        await open_call(database, simulated_twilio, CallSid(f"CA{number}" + "3" * 31))
    fail_every_second_call(simulated_twilio)
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_failed, findings.calls_changed) == (None, 4, 4)


@pytest.mark.parametrize(("seen_ago_s", "held"), [(3600, True), (49 * 3600, False)])
async def test_a_skipped_call_that_only_the_lists_contain_keeps_the_cursor(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, seen_ago_s: float, held: bool
) -> None:
    """A call with a verdict is not open. Only the list by date contains its second recording."""
    await deliver(database, status("completed"), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    await age(database, seconds=seen_ago_s)
    recorded(recorded(call_at_twilio(simulated_twilio)), sid="RE" + "9" * 32)
    answer_always(simulated_twilio, CALL, ScriptedResponse(500))
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_failed) == (None, int(held))
    assert (await swept_until(database) is None) is held


async def test_a_skipped_call_is_listed_by_date_until_it_is_answered(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    await deliver(database, status("completed"), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    recorded(recorded(call_at_twilio(simulated_twilio)), sid=RecordingSid("RE" + "9" * 32))
    answer_always(simulated_twilio, CALL, ScriptedResponse(500))
    await make().sweep_due_accounts()
    simulated_twilio.rest.check = None
    (findings,) = await make().sweep_due_accounts()
    assert (findings.recordings_new, findings.calls_failed) == (1, 0)
    assert await swept_until(database) is not None


async def end_at_ours(database: Database, *sids: CallSid) -> None:
    """Calls that have ended in our database and whose recordings no callback has reported."""
    for sid in sids:
        await deliver(database, status("completed", call_sid=sid))
        await age(database, sid)


async def states(database: Database, *sids: CallSid) -> list[str]:
    return [(await call_row(database, sid)).analysis_state for sid in sids]


async def test_nothing_is_concluded_if_twilio_knows_none_of_our_calls(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    ours = YOUNGER[:3]
    call_at_twilio(simulated_twilio, direction="inbound")  # a call of another application
    await end_at_ours(database, *ours)
    for findings in [
        *await make().sweep_due_accounts(),
        *await make().sweep_since(datetime.now(UTC) - timedelta(days=1)),
    ]:
        assert findings.error is not None
        assert "TWILIO_REGION" in findings.error
        assert (findings.calls_asked, findings.calls_unknown, findings.calls_changed) == (1, 3, 0)
    assert await states(database, *ours) == ["waiting"] * 3
    assert await swept_until(database) is None
    for sid in ours:
        recorded(call_at_twilio(simulated_twilio, sid=sid), sid=f"RE{sid[2:]}")
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_unknown) == (None, 0)
    assert await states(database, *ours) == ["queued"] * 3


@pytest.mark.parametrize(
    ("ending", "ago_s", "after"),
    [("completed", 8 * 3600, "failed"), ("busy", 600, "not_applicable")],
    ids=["requested by its SID", "listed by date"],
)
async def test_unknown_calls_are_concluded_if_twilio_knows_another_of_our_calls(
    database: Database,
    simulated_twilio: SimulatedTwilio,
    make: Make,
    capsys: pytest.CaptureFixture[str],
    ending: str,
    ago_s: float,
    after: str,
) -> None:
    call_at_twilio(simulated_twilio, ending=ending, ago_s=ago_s)
    await deliver(database, status(ending))
    await age(database)
    await end_at_ours(database, *YOUNGER)
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_asked, findings.calls_unknown) == (None, 1, 4)
    assert await states(database, CALL, *YOUNGER) == [after, *["failed"] * 4]
    assert "calls unknown to Twilio" in capsys.readouterr().out


async def test_failed_calls_do_not_prove_that_the_account_is_right(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    await end_at_ours(database, CALL, *YOUNGER)
    answer_always(simulated_twilio, CALL, ScriptedResponse(500))
    (findings,) = await make().sweep_due_accounts()
    assert findings.error is not None
    assert (findings.calls_asked, findings.calls_failed, findings.calls_unknown) == (0, 1, 4)
    assert set(await states(database, CALL, *YOUNGER)) == {"waiting"}


def fail_every_second_call(simulated_twilio: SimulatedTwilio) -> None:
    """The simulated Twilio answers 500 to the first, third, fifth … call that is requested."""
    requested: list[str] = []

    def choose(request: RestRequest) -> tuple[str, ...]:
        if "/Calls/CA" in request.path and "Recordings" not in request.path:
            requested.append(request.path)
            simulated_twilio.rest.scripted = [ScriptedResponse(500)] * (len(requested) % 2)
        return ()

    simulated_twilio.rest.check = choose


def make_calls_unreadable(simulated_twilio: SimulatedTwilio) -> None:
    """The simulated Twilio returns unreadable calls and readable recordings."""
    unreadable = ScriptedResponse(200, b'{"sid": "CA"}')

    def choose(request: RestRequest) -> tuple[str, ...]:
        simulated_twilio.rest.scripted = (
            [unreadable] if "/Calls/CA" in request.path and "Recordings" not in request.path else []
        )
        return ()

    simulated_twilio.rest.check = choose


@pytest.mark.parametrize("count", [1, 3])
async def test_unreadable_calls_are_skipped_and_not_unknown(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, count: int
) -> None:
    ours = YOUNGER[:count]
    await end_at_ours(database, *ours)
    for sid in ours:
        call_at_twilio(simulated_twilio, sid=sid, ago_s=8 * 3600)
    make_calls_unreadable(simulated_twilio)
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_failed, findings.calls_unknown) == (None, count, 0)
    assert await states(database, *ours) == ["waiting"] * count


async def test_an_unreadable_call_is_known_by_its_recording(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    await end_at_ours(database, CALL, *YOUNGER[:2])
    for sid in (CALL, *YOUNGER[:2]):
        recorded(call_at_twilio(simulated_twilio, sid=sid, ago_s=8 * 3600), sid=f"RE{sid[2:]}")
    make_calls_unreadable(simulated_twilio)
    (findings,) = await make().sweep_due_accounts()
    assert (findings.error, findings.calls_unknown, findings.recordings_new) == (None, 0, 3)
