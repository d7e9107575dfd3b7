"""The service with a real Postgres and a model that is not started."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx2
from pydantic import SecretStr
from sqlalchemy import func, select

from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Callback, CallLog, Recording
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.runtime import Runtime, assemble_runtime
from amd_service.settings import Settings
from amd_service.simulator.twilio.signed_callbacks import sign
from amd_service.telemetry import Metrics
from amd_service.tracing.spans import Traces
from amd_service.twilio.recordings import Recordings
from amd_service.twilio.rest import RestClient
from amd_service.web.app import create_app
from amd_service.web.time_limits import DEFAULT_TIME_LIMITS, TimeLimits
from tests.support.inbox import until_folded
from tests.support.sids import ACCOUNT, CALL, RECORDING

PUBLIC_URL = "https://amd.example.com"
WEBHOOKS = {"/twilio/status", "/twilio/recording", "/twilio/amd"}
TOKEN = "t" * 32
API_KEY = "k" * 32
STATUS = [
    ("AccountSid", ACCOUNT),
    ("CallSid", CALL),
    ("CallStatus", "completed"),
    ("SequenceNumber", "3"),
    ("From", "+15005550006"),
    ("To", "+15005550010"),
    ("ForwardedFrom", ""),
]


RECORDED = [
    ("AccountSid", ACCOUNT),
    ("CallSid", CALL),
    ("RecordingSid", RECORDING),
    ("RecordingStatus", "completed"),
    ("RecordingSource", "OutboundAPI"),
    ("RecordingTrack", "inbound"),
    ("ErrorCode", "0"),
]


Pairs = Sequence[tuple[str, str]]


def make_settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "model": "demo",
        "public_url": PUBLIC_URL,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": [SecretStr(TOKEN)],
        "api_keys": [SecretStr(API_KEY)],
        **changes,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class App:
    """The app and a client that calls it."""

    client: httpx2.AsyncClient
    runtime: Runtime

    async def callback(self, path: str, pairs: Pairs, *, token: str = TOKEN, **headers: str) -> httpx2.Response:
        """Deliver a callback with a valid signature. `headers` are added last and can replace the valid headers."""
        sent = httpx2.Headers(sign(PUBLIC_URL + path, pairs, token))
        sent.update({name.replace("_", "-"): text for name, text in headers.items()})
        return await self.client.post(path, content=urlencode(pairs), headers=sent)

    async def rows(self) -> dict[str, int]:
        async with self.runtime.database.transaction() as session:
            counts = {
                table.__tablename__: await session.scalar(select(func.count()).select_from(table))
                for table in (CallLog, Callback, Recording)
            }
        return {name: count or 0 for name, count in counts.items()}

    def counted(self, name: str, **labels: str) -> float:
        return self.runtime.metrics.registry.get_sample_value(name, labels) or 0.0


def open_app(
    database: Database,
    detector: Detector | None = None,
    *,
    rest: RestClient | None = None,
    client: httpx2.AsyncClient | None = None,
    time_limits: TimeLimits = DEFAULT_TIME_LIMITS,
    **changes: object,
) -> App:
    """Open the service. Without `detector` the service gets a detector that is never started.

    Each stored callback is folded before its sender reads the response. `client`: the HTTP client for Twilio.
    """
    settings = make_settings(**changes)
    metrics = Metrics()
    detector = detector or Detector.from_settings(settings, metrics)
    twilio = client or httpx2.AsyncClient()
    rest, recordings = rest or RestClient(twilio, settings), Recordings(twilio, settings)
    numbers = NumberPolicy.from_settings(settings)
    runtime = assemble_runtime(settings, metrics, database, detector, rest, recordings, numbers, Traces())
    transport = httpx2.ASGITransport(app=create_app(runtime, time_limits=time_limits), raise_app_exceptions=True)

    folding = asyncio.Lock()  # a second fold would meet the locks of the first one, and leave its callbacks

    async def fold(response: httpx2.Response) -> None:
        if response.is_success and response.request.url.path in WEBHOOKS:
            async with folding:
                if not await runtime.folder.fold_waiting():
                    await until_folded(database)  # a worker may hold the lock on the call for a moment

    browser = httpx2.AsyncClient(
        transport=transport,
        base_url="http://127.0.0.1:8080",
        headers={"authorization": f"Bearer {API_KEY}"},
        event_hooks={"response": [fold]},
    )
    return App(browser, runtime)
