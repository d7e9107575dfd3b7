"""Callbacks arrive out of order, repeatedly or never. After reconciliation every call has the right row."""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select

from amd_service.calls.tables import CallLog, Sweep
from amd_service.database.pool import Database
from amd_service.settings import Settings
from amd_service.simulator.service_process import COMMAND, ServiceProcess, service_environment
from amd_service.simulator.twilio.call_simulation import (
    CallScenario,
    OutgoingCallback,
    advance,
    end_recording,
    recording_callbacks,
    start_recording,
)
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twilio.signed_callbacks import send_callback
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.scene import DEADLINE_S, FIXTURES, HUMAN, Scene
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

CALLS = 100
LOST = 0.1  # share of callbacks that are lost
WHOLLY_LOST = 6  # number of calls without any callback
AT_ONCE = 16

VOICEMAIL = (FIXTURES / "07-voicemail-carrier" / "recording.wav").read_bytes()
SILENCE = (FIXTURES / "21-silence" / "recording.wav").read_bytes()

# The expected row: call_status, analysis_state, label, reason.
Row = tuple[str | None, str, str | None, str | None]
SCENARIOS: list[tuple[CallScenario, Row]] = [
    (CallScenario(media_file=MediaFile(HUMAN)), ("completed", "judged", "human", "confident")),
    (CallScenario(media_file=MediaFile(VOICEMAIL)), ("completed", "judged", "voicemail", "confident")),
    (CallScenario(media_file=MediaFile(SILENCE)), ("completed", "judged", "undecided", "no_speech")),
    (CallScenario(recording_status="absent"), ("completed", "failed", None, "no_recording")),
    (CallScenario(recording_status=None), ("completed", "failed", None, "no_recording")),
    (CallScenario(ending="no-answer"), ("no-answer", "not_applicable", None, None)),
    (CallScenario(ending="busy"), ("busy", "not_applicable", None, None)),
]


@dataclass(frozen=True, slots=True)
class Expected:
    """A placed call, its callbacks, and its expected row."""

    call: SimulatedCall
    callbacks: list[OutgoingCallback]
    row: Row


@pytest.mark.soak
async def test_every_call_ends_with_the_right_row_despite_lost_callbacks(scene: Scene, database: Database) -> None:
    seed = SystemRandom().randrange(1_000_000)
    random, hint = Random(seed), f"with Random({seed})"
    print(hint)  # noqa: T201 - shown if the test fails
    async with scene.run_service([*COMMAND, "serve"]) as service:
        await service.wait_until_alive()
        expected = await place_calls(scene, service, random)
        arriving = [item.callbacks for item in expected[WHOLLY_LOST:]]
        await deliver_all(scene, with_losses([callback for callbacks in arriving for callback in callbacks], random))

        before = await rows(database)
        unheard_of = {item.call.sid for item in expected[:WHOLLY_LOST]}
        assert not unheard_of & before.keys(), hint
        assert any(before.get(item.call.sid, ("",))[0] != item.row[0] for item in expected[WHOLLY_LOST:]), hint

        found = await reconcile(scene)
        assert (found["calls_asked"], found["error"]) == (CALLS, None), hint
        assert found["calls_new"] >= WHOLLY_LOST, hint

        wanted = {item.call.sid: item.row for item in expected}

        async def all_right() -> bool:
            return await rows(database) == wanted

        try:
            await until(all_right, timeout_s=DEADLINE_S)
        except TimeoutError:
            assert await rows(database) == wanted, hint
        again = await reconcile(scene)
    assert (again["calls_new"], again["recordings_new"], again["calls_changed"]) == (0, 0, 0), hint


async def test_a_running_service_reconciles_periodically(scene: Scene, database: Database) -> None:
    async def has_swept() -> bool:
        async with database.transaction() as session:
            return await session.scalar(select(Sweep.swept_until)) is not None

    async with scene.run_service([*COMMAND, "serve"], reconcile_every_s=0.2, reconcile_after_s=0) as service:
        await service.wait_until_alive()
        await until(has_swept)
        call = SimulatedCall(account_sid=scene.account.account_sid)
        call.end("busy")
        scene.simulated_twilio.rest.add(call)

        async def is_there() -> bool:
            return call.sid in await rows(database)

        await until(is_there)
    assert (await rows(database))[call.sid] == ("busy", "not_applicable", None, None)


async def place_calls(scene: Scene, service: ServiceProcess, random: Random) -> list[Expected]:
    """Place calls with the service's own REST client, so that the calls subscribe to the usual callbacks."""
    settings = Settings(_env_file=None, twilio_api_url=scene.simulated_twilio.url, public_url=service.url)
    request = CallRequest(to="+12125550100", from_number="+15005550006", twiml="<Response/>")
    placed = []
    async with http_client(settings) as client:
        rest = RestClient(client, settings)
        for number in range(CALLS):
            scenario, row = SCENARIOS[number % len(SCENARIOS)]
            call = scene.simulated_twilio.rest.calls[(await rest.place_call(scene.account, request)).event.call_sid]
            placed.append(Expected(call, list(callbacks_of(scene.simulated_twilio.rest, call, scenario)), row))
    random.shuffle(placed)
    return placed


def callbacks_of(rest: RestApi, call: SimulatedCall, scenario: CallScenario) -> Iterator[OutgoingCallback]:
    """Run a call to its end. Yields all its callbacks."""
    yield from advance(call, "initiated", 0)
    yield from advance(call, "ringing", 1)
    answered = scenario.ending == "completed"
    recording = None
    if answered:
        yield from advance(call, "in-progress", 2)
        recording = start_recording(call, scenario)
    if recording is not None:
        yield from recording_callbacks(call, recording)
    yield from advance(call, scenario.ending, 3 if answered else 2)
    if recording is not None:
        end_recording(rest, recording, scenario)
        yield from recording_callbacks(call, recording)


def with_losses(callbacks: Sequence[OutgoingCallback], random: Random) -> list[OutgoingCallback]:
    """Each callback one to three times, in random order. A tenth of the callbacks is missing."""
    arriving = [callback for callback in callbacks if random.random() >= LOST]
    repeated = [callback for callback in arriving for _ in range(random.randint(1, 3))]
    random.shuffle(repeated)
    return repeated


async def deliver_all(scene: Scene, callbacks: Sequence[OutgoingCallback]) -> None:
    token = scene.account.auth_tokens[0].get_secret_value()
    limit = asyncio.Semaphore(AT_ONCE)
    async with httpx2.AsyncClient(trust_env=False) as client:

        async def send(callback: OutgoingCallback) -> int | None:
            url = urlsplit(callback.url)
            base = f"{url.scheme}://{url.netloc}"
            async with limit:
                delivery = await send_callback(
                    client, base, url.path, callback.pairs, token=token, overrides=url.fragment
                )
            return delivery.status

        answers = Counter(await asyncio.gather(*(send(callback) for callback in callbacks)))
    assert answers == {204: len(callbacks)}


async def reconcile(scene: Scene) -> dict[str, Any]:
    """The JSON output of `amd-service reconcile --since 1h` for the account."""
    environment = service_environment(
        database_url=scene.database_url,
        simulated_twilio=scene.simulated_twilio,
        account=scene.account,
        reconcile_per_s=10_000,
    )
    with tempfile.TemporaryDirectory() as elsewhere:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "reconcile", "--since", "1h", "--json",
            stdout=asyncio.subprocess.PIPE, env=environment, cwd=Path(elsewhere),
        )  # fmt: skip
        out, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


async def rows(database: Database) -> dict[str, Row]:
    async with database.transaction() as session:
        statement = select(CallLog.call_sid, CallLog.call_status, CallLog.analysis_state, CallLog.label, CallLog.reason)
        return {
            sid: (status, state, label, reason)
            for sid, status, state, label, reason in await session.execute(statement)
        }
