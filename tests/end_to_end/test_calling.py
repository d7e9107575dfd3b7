"""Runs `amd-service call` with real processes, from the command to the verdict."""

import asyncio
import json
import os
import tempfile

import httpx2
import pytest

from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.call_simulation import CallScenario, simulate_call
from amd_service.simulator.twilio.media_host import MediaFile, ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall
from tests.support.scene import HUMAN, Scene, read_call

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

CALL_ARGUMENTS = ("+12125550100", "--from", "+15005550006", "--twiml", "<Response/>")


async def call(scene: Scene, *arguments: str, public_url: str = "http://127.0.0.1:1") -> tuple[int | None, str, str]:
    """Run `amd-service call` in a clean environment. Returns exit code, stdout and stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMD_", "TWILIO_"))}
    environment |= {
        "AMD_DATABASE_URL": scene.database_url,
        "AMD_TWILIO_API_URL": scene.simulated_twilio.url,
        "AMD_PUBLIC_URL": public_url,
        "AMD_DIAL_PREFIXES": "+1212",
        "TWILIO_ACCOUNT_SID": scene.account.account_sid,
        "TWILIO_AUTH_TOKEN": scene.account.auth_tokens[0].get_secret_value(),
    }
    with tempfile.TemporaryDirectory() as elsewhere:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            "call",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=elsewhere,
        )
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_call_with_wait_follows_a_call_to_its_verdict(scene: Scene) -> None:
    scenarios = [CallScenario(media_file=MediaFile(HUMAN)), CallScenario(ending="busy")]
    token = scene.account.auth_tokens[0].get_secret_value()
    async with (
        scene.run_service((*COMMAND, "serve")) as service,
        httpx2.AsyncClient(trust_env=False) as client,
    ):

        async def simulate(placed: SimulatedCall) -> None:
            deliveries = await simulate_call(
                scene.simulated_twilio.rest, placed, scenarios.pop(0), token=token, client=client
            )
            assert {delivery.outcome for delivery in deliveries} == {"2xx"}

        scene.simulated_twilio.rest.on_created = simulate
        await service.wait_until_ready()

        tagging = ("--campaign", "spring", "--tag", "vip", "--tag", "b")
        arguments = (*CALL_ARGUMENTS, *tagging, "--twilio-amd", "--wait", "--json")
        code, out, err = await call(scene, *arguments, public_url=service.url)
        placed, verdict = (json.loads(line) for line in out.splitlines())
        assert (code, verdict["label"], verdict["reason"]) == (0, "human", "confident"), err
        assert placed == {"call_sid": verdict["call_sid"], "call_status": "queued", "replayed": False}
        assert verdict["twilio_answered_by"] == "human"
        row = await read_call(service, verdict["call_sid"])
        assert (row["campaign"], row["tags"]) == ("spring", ["b", "vip"])

        code, out, err = await call(scene, *CALL_ARGUMENTS, "--wait", public_url=service.url)
        assert (code, "busy" in out.splitlines()[-1]) == (1, True), err
        await scene.simulated_twilio.rest.wait_for_calls()


async def test_a_call_without_callbacks_names_the_setting_to_check(scene: Scene) -> None:
    code, out, err = await call(scene, *CALL_ARGUMENTS, "--wait", "--timeout", "0.1")
    assert (code, len(scene.simulated_twilio.rest.calls)) == (1, 1)
    assert "no verdict in time" in out.splitlines()[-1]
    assert "AMD_PUBLIC_URL" in err


async def test_a_call_that_waits_for_a_worker_names_the_readiness_of_the_classifier(scene: Scene) -> None:
    token = scene.account.auth_tokens[0].get_secret_value()
    async with (
        scene.run_service((*COMMAND, "serve", "--no-worker", "--no-model")) as service,
        httpx2.AsyncClient(trust_env=False) as client,
    ):

        async def simulate(placed: SimulatedCall) -> None:
            scenario = CallScenario(media_file=MediaFile(HUMAN))
            await simulate_call(scene.simulated_twilio.rest, placed, scenario, token=token, client=client)

        scene.simulated_twilio.rest.on_created = simulate
        await service.wait_until_alive()
        code, out, err = await call(scene, *CALL_ARGUMENTS, "--wait", "--timeout", "5", public_url=service.url)
        assert (code, "analysis queued" in out) == (1, True), err
        assert "no worker is ready" in err
        assert "/ready/classifier" in err


async def test_a_forbidden_number_exits_2_and_an_unknown_outcome_exits_3(scene: Scene) -> None:
    code, out, err = await call(scene, "+19005550100", *CALL_ARGUMENTS[1:])
    assert (code, out, "AMD_DIAL_PREFIXES" in err) == (2, "", True)
    assert scene.simulated_twilio.rest.requests == []
    scene.simulated_twilio.rest.scripted.append(ScriptedResponse(503, carried_out=True))
    code, out, err = await call(scene, *CALL_ARGUMENTS, "--key", "once")
    assert (code, out, "may have been placed" in err) == (3, "", True)
    code, out, err = await call(scene, *CALL_ARGUMENTS, "--key", "once")
    assert (code, "is unknown" in err, "Traceback" in err) == (3, True, False)
    assert len(scene.simulated_twilio.rest.calls) == 1
