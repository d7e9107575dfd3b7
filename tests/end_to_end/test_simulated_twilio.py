"""The service and its commands with `amd-service simulate`, as docs/trying.md describes."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from amd_service.simulator.service_process import COMMAND, ServiceProcess
from tests.support.fixture_calls import CALLS
from tests.support.scene import Scene, until_state
from tests.support.simulate_process import SimulateProcess, run_simulate

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CALL = ("call", "--from", "+15005550006", "--wait", "--json")


async def run(*command: str, cwd: Path, environment: dict[str, str]) -> str:
    """Run a command and return its output. Fails the test if the command fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment, cwd=cwd
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def make_environment(scene: Scene, simulate: SimulateProcess, service: ServiceProcess) -> dict[str, str]:
    """Return the environment of a user who has set the printed variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AMD_", "TWILIO_"))}
    return {
        **inherited,
        **credentials(scene),
        **simulate.environment,
        "AMD_PUBLIC_URL": service.url,
        "AMD_DATABASE_URL": scene.database_url,
        "AMD_LIVE": "true",
    }


def credentials(scene: Scene) -> dict[str, str]:
    token = scene.account.auth_tokens[0].get_secret_value()
    return {"TWILIO_ACCOUNT_SID": scene.account.account_sid, "TWILIO_AUTH_TOKEN": token}


def readme_script() -> str:
    """Return the README's example for Twilio's library, with the client of docs/trying.md."""
    (client,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "trying.md").read_text("utf-8"), re.DOTALL)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (example,) = [re.sub(r"^ {3}", "", block, flags=re.MULTILINE) for block in blocks if "calls.create" in block]
    changed = example.replace("Client()", "Client(http_client=SimulatedTwilio())")
    return f"{client}{changed}".replace('"https://amd.example.com"', 'os.environ["AMD_PUBLIC_URL"]')


async def test_calls_end_with_the_verdict_of_their_recording(scene: Scene, tmp_path: Path) -> None:
    async with (
        run_simulate(str(CALLS), cwd=tmp_path, **credentials(scene)) as simulate,
        scene.run_service((*COMMAND, "serve"), twilio_api_url=simulate.url, live=True) as service,
    ):
        await service.wait_until_ready()
        environment = make_environment(scene, simulate, service)

        # The number chooses the recording. The call plays the service's TwiML, which starts a stream.
        lines = await run(*COMMAND, *CALL, "+15005550107", cwd=tmp_path, environment=environment)
        verdict = json.loads(lines.splitlines()[-1])
        assert (verdict["label"], verdict["reason"]) == ("voicemail", "confident")
        events = await simulate.events_until("ended")
        (streamed,) = [event for event in events if event["event"] == "stream"]
        assert "closed with 1000" in streamed["text"]

        # The README's example. Its number has no recorded call, so the call sounds like the first recording.
        script = tmp_path / "example.py"
        script.write_text(readme_script(), encoding="utf-8")
        await run(sys.executable, str(script), cwd=tmp_path, environment=environment)
        events = await simulate.events_until("ended")
        assert [event["text"] for event in events if event["event"] == "callback" and event["status"] != 204] == []
        row: dict[str, Any] = await until_state(service, events[0]["call_sid"], "judged")
        assert (row["label"], row["reason"]) == ("human", "confident")
