"""Recordings that people listen to stay in memory for a short time."""

import httpx2
import pytest

from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.operations.listening import KEEP_BYTES, KEEP_S, Listening
from amd_service.twilio.recordings import Recordings
from tests.support.recordings import AC, ACCOUNT, ok, settings

pytestmark = pytest.mark.anyio

RATE_HZ = 8_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Twilio:
    """Answers every request with mu-law silence of `seconds`."""

    def __init__(self, seconds: int = 1) -> None:
        self.requests = 0
        self._seconds = seconds

    def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        return ok(b"\xff" * RATE_HZ * self._seconds, f"audio/x-mulaw;rate={RATE_HZ}")


def listening(twilio: Twilio, clock: Clock) -> Listening:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(twilio))
    return Listening(database, {AC: ACCOUNT}, Recordings(client, settings()), clock=clock)


def recording(number: int) -> Recording:
    return Recording(recording_sid=f"RE{number:032x}", account_sid=AC)


async def test_a_recording_is_kept_for_a_limited_time() -> None:
    clock = Clock()
    listener = listening(Twilio(), clock)
    fetched = await listener.fetch(recording(1))
    clock.now = KEEP_S - 1
    assert listener.kept(recording(1).recording_sid) is fetched
    clock.now = KEEP_S
    assert listener.kept(recording(1).recording_sid) is None


async def test_the_oldest_recordings_make_room_for_new_ones() -> None:
    seconds = 300
    fit = KEEP_BYTES // (2 * RATE_HZ * seconds)
    listener = listening(Twilio(seconds), Clock())
    for number in range(fit + 1):
        await listener.fetch(recording(number))
    kept = [number for number in range(fit + 1) if listener.kept(recording(number).recording_sid) is not None]
    assert kept == list(range(1, fit + 1))


async def test_only_the_first_minutes_are_decoded() -> None:
    audio = await listening(Twilio(700), Clock()).fetch(recording(1))
    assert audio.samples.shape == (1, 600 * RATE_HZ)
