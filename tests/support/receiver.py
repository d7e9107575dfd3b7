"""The whole service in one process: webhooks, a worker, a real Postgres, and a simulated Twilio."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.domain import Job
from amd_service.operations.judge_recording import RecordingJudge
from amd_service.runtime.workers import build_worker
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.telemetry import Metrics
from amd_service.tracing.spans import Traces
from amd_service.twilio.recordings import Recordings, http_client
from amd_service.twilio.rest import RestClient
from amd_service.worker.queue_loop import Worker
from tests.support.app import App, make_settings, open_app
from tests.support.detectors import speech
from tests.support.sids import ACCOUNT, CALL, RECORDING
from tests.support.signals import file_of
from tests.support.simulated_twilio import watched_simulated_twilio

MEDIA_PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}.wav"
VOICE = speech(3.0)
HELLO = file_of(VOICE)
Fields = dict[str, str | None]

_SEQUENCE = {"initiated": "0", "ringing": "1", "in-progress": "2"}


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running service with a simulated Twilio. Keyword arguments are callback parameters; None omits a parameter."""

    service: App
    simulated_twilio: SimulatedTwilio
    worker: Worker[Job]
    rest: RestClient

    @property
    def settings(self) -> Settings:
        return self.service.runtime.settings

    @property
    def account(self) -> Account:
        return self.settings.accounts[ACCOUNT]

    async def status(self, call_status: str, **fields: str | None) -> int:
        """Deliver a status callback. Returns the status of the response."""
        usual: Fields = {"CallStatus": call_status, "SequenceNumber": _SEQUENCE.get(call_status, "3")}
        return await self._deliver("/twilio/status", usual | fields)

    async def recording(self, recording_status: str, **fields: str | None) -> int:
        """Deliver a recording callback of an outbound call. Returns the status of the response.

        The recording contains only the track of the called party.
        """
        usual: Fields = {
            "RecordingSid": RECORDING,
            "RecordingStatus": recording_status,
            "RecordingSource": "OutboundAPI",
            "RecordingTrack": "inbound",
            "RecordingChannels": "1",
        }
        return await self._deliver("/twilio/recording", usual | fields)

    async def _deliver(self, path: str, fields: Fields) -> int:
        given: Fields = {"AccountSid": ACCOUNT, "CallSid": CALL, **fields}
        pairs = [(name, value) for name, value in given.items() if value is not None]
        return (await self.service.callback(path, pairs)).status_code

    async def call(self, sid: str = CALL) -> dict[str, Any]:
        """The response of `GET /api/calls/{sid}`."""
        found: dict[str, Any] = (await self.service.client.get(f"/api/calls/{sid}")).json()
        return found

    async def judged(self, sid: str = CALL) -> dict[str, Any]:
        """Run the worker, retries included, until the call is no longer queued or running. Returns the call."""
        async with asyncio.timeout(60):
            while True:
                await self.worker.drain()
                call = await self.call(sid)
                if call["analysis_state"] not in ("queued", "running"):
                    return call

    async def judge(self, number: int, media_file: MediaFile, **fields: str) -> dict[str, Any]:
        """Deliver a new call with the recording `media_file`, and return the judged call."""
        self.simulated_twilio.media.files[sid("RE", number)] = media_file
        sids = {"CallSid": sid("CA", number), "RecordingSid": sid("RE", number)}
        assert await self.recording("completed", **sids | fields) == 204
        return await self.judged(sid("CA", number))

    @property
    def media_requests(self) -> list[str]:
        """Path and query of every request that the media host received, in order."""
        return [seen.path + (f"?{seen.query}" if seen.query else "") for seen in self.simulated_twilio.media.requests]


def sid(kind: str, number: int) -> str:
    """A SID of `kind` (CA, RE, …) that is different from all SIDs in tests/support/sids.py."""
    return f"{kind}{number + 0xABC:032x}"


@asynccontextmanager
async def receiving(database: Database, detector: Detector, **changes: Any) -> AsyncIterator[Receiver]:
    """A receiver that uses `database`. Fails at the end if a request violated Twilio's API description."""
    known = make_settings(**changes).accounts.values()
    async with watched_simulated_twilio(*known) as simulated_twilio:
        settings = make_settings(twilio_api_url=simulated_twilio.url, job_retry_base_s=1e-6, **changes)
        async with http_client(settings) as client:
            rest = RestClient(client, settings)
            service = open_app(database, detector, rest=rest, twilio_api_url=simulated_twilio.url, **changes)
            judge = RecordingJudge(settings.accounts, Recordings(client, settings), detector, Metrics(), Traces())
            worker = build_worker(settings, database, judge.judge, Metrics(), is_ready=lambda: True)
            yield Receiver(service, simulated_twilio, worker, rest)
            await service.client.aclose()
