"""Postgres, the service, workers and a simulated Twilio as separate processes."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2

from amd_service.settings import RETRY_OVERRIDES, Account
from amd_service.simulator.service_process import ServiceProcess, run_service
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.signed_callbacks import send_callback
from tests.support.waiting import until

FIXTURES = Path(__file__).parents[2] / "fixtures" / "calls"
HUMAN = (FIXTURES / "01-human-hello" / "recording.wav").read_bytes()
DEADLINE_S = 120.0  # for a busy machine
FATAL = (sys.executable, "-m", "tests.end_to_end.fatal_worker")


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything outside the service: a database, a media host, an account."""

    database_url: str
    simulated_twilio: SimulatedTwilio
    account: Account

    @property
    def run_service(self) -> "partial[Any]":
        """`run_service` for this scene, with the demonstration model."""
        return partial(
            run_service,
            database_url=self.database_url,
            simulated_twilio=self.simulated_twilio,
            account=self.account,
            model="demo",
        )

    async def report_ended_call(self, service: ServiceProcess, media_file: MediaFile) -> str:
        """Report an ended call with this recording to `service`, as Twilio does. Returns the CallSid."""
        call_sid, recording_sid = f"CA{token_hex(16)}", f"RE{token_hex(16)}"
        self.simulated_twilio.media.files[recording_sid] = media_file
        form = [
            ("AccountSid", self.account.account_sid),
            ("CallSid", call_sid),
            ("RecordingSid", recording_sid),
            ("RecordingStatus", "completed"),
            ("RecordingSource", "OutboundAPI"),
            ("RecordingTrack", "inbound"),
        ]
        token = self.account.auth_tokens[0].get_secret_value()
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await send_callback(
                client, service.url, "/twilio/recording", form, token=token, overrides=RETRY_OVERRIDES
            )
        assert answer.status == 204
        return call_sid


async def read_call(service: ServiceProcess, call_sid: str) -> dict[str, Any]:
    """Return the call from the API of a service. The result is empty while the service does not know the call."""
    async with _client(service) as client:
        return await _read_call(client, call_sid)


async def until_state(service: ServiceProcess, call_sid: str, state: str) -> dict[str, Any]:
    """Wait until the analysis of the call is in `state`, and return the call's row."""
    row: dict[str, Any] = {}
    async with _client(service) as client:

        async def is_there() -> bool:
            nonlocal row
            row = await _read_call(client, call_sid)
            return row.get("analysis_state") == state

        # More requests would slow down the service that the test waits for.
        await until(is_there, timeout_s=DEADLINE_S, poll_s=0.1)
    return row


def _client(service: ServiceProcess) -> httpx2.AsyncClient:
    # Reading the certificates of the system takes longer than the request.
    return httpx2.AsyncClient(trust_env=False, verify=False, base_url=service.url)


async def _read_call(client: httpx2.AsyncClient, call_sid: str) -> dict[str, Any]:
    try:
        answer = await client.get(f"/api/calls/{call_sid}")
    except httpx2.TransportError:
        return {}
    row: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return row


async def until_exists(path: Path) -> None:
    """Wait until a child process has created a file."""

    async def is_there() -> bool:
        return path.exists()  # noqa: ASYNC240 - a stat of a local file

    await until(is_there)
