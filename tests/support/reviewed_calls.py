"""Reviewed calls whose recordings a simulated Twilio serves."""

from typing import Any

from amd_service.calls.tables import Review
from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.lab.fixtures.sounds import as_channels, wav
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.call_rows import numbered_sid
from tests.support.labelled_audio import noise
from tests.support.review_rows import heard_call, store_calls
from tests.support.sids import ACCOUNT


def review(call: int, answer: str, reviewer: str = "ann", **fields: Any) -> Review:
    return Review(call_sid=numbered_sid(call), reviewer=reviewer, answer=answer, **fields)


def recording_sid(call: int) -> str:
    return f"RE{call:032x}"


def serve(twilio: SimulatedTwilio, call: int, *, seed: int | None = None, **options: Any) -> MediaFile:
    """Serve two seconds of noise as the called party of this call, on channel 1. The other channel has other noise."""
    audio = as_channels(noise(2, seed=call if seed is None else seed), noise(2, seed=999))
    file = MediaFile(wav(audio, "PCM_16"), dual_available=True, **options)
    twilio.media.files[recording_sid(call)] = file
    return file


async def store_reviewed(
    database: Database, twilio: SimulatedTwilio, answers: dict[int, str], **fields: Any
) -> list[CallSid]:
    """Store calls with one answer each, and serve their recordings. Two calls in a row go to one number."""
    for call, answer in answers.items():
        number = fields.get("to_number", f"+1500555{call // 2:04}")
        await store_calls(database, [*heard_call(call, to_number=number), review(call, answer)])
        serve(twilio, call)
    return [numbered_sid(call) for call in answers]


def settings_for(database_url: str, twilio: SimulatedTwilio | None, **given: Any) -> Settings:
    return Settings(
        _env_file=None,
        database_url=database_url,
        twilio_api_url=twilio.url if twilio else "http://127.0.0.1:9",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token="token",
        **given,
    )
