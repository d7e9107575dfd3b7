"""Opens the database and the downloads that a dataset is built from."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.detection.audio.decode import has_seconds
from amd_service.detection.audio.input import AudioInput
from amd_service.domain import AccountSid
from amd_service.operations.recording_audio import StoredRecording, fetch_audio
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import Recordings, http_client


@dataclass(frozen=True, slots=True)
class RecordedCalls:
    """The stored calls, and the recordings of the configured accounts."""

    database: Database
    accounts: Mapping[AccountSid, Account]
    recordings: Recordings

    async def fetch(self, recording: StoredRecording, *, max_ms: int) -> AudioInput:
        """Download at least the first `max_ms` of a recording. Raises the errors of `fetch_audio`."""
        seconds = max_ms / 1000
        return await fetch_audio(
            recording, self.accounts, self.recordings, has_enough=lambda prefix: has_seconds(prefix, seconds)
        )


@asynccontextmanager
async def open_recorded_calls(settings: Settings) -> AsyncIterator[RecordedCalls]:
    """Open the database and a client for Twilio. Raises ConfigurationError if the database cannot be used."""
    async with http_client(settings) as client, open_database(settings, Metrics(), with_worker=False) as database:
        yield RecordedCalls(database, settings.accounts, Recordings(client, settings))
