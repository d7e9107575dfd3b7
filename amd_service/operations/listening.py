"""Fetches recordings for people who listen to a call. The audio is in memory for a short time, and never stored."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from amd_service.calls import lookup
from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.detection.audio.decode import can_decode, has_seconds
from amd_service.detection.audio.pcm import PcmAudio, decode_pcm
from amd_service.domain import AccountSid, CallSid, RecordingSid
from amd_service.errors import CredentialsMissing
from amd_service.settings import Account
from amd_service.twilio.recorded_side import is_one_sided
from amd_service.twilio.recordings import AudioRules, Recordings

# Seconds of a recording that can be heard. AMD_MEDIA_MAX_BYTES can be the shorter limit.
MAX_S = 600.0
# A player requests parts of the same recording several times within a minute.
KEEP_S = 120.0
KEEP_BYTES = 32 * 1024 * 1024
# Maximum number of recordings that a process fetches at once for people, so that they leave the memory and the
# connections to Twilio to the worker.
FETCHES_AT_ONCE = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    audio: PcmAudio
    until: float


class Listening:
    """Fetches recordings from Twilio for people. `recordings`: an instance of its own, not the worker's.

    The worker's limits for slow downloads are kept per instance, so slow downloads for people leave the worker's alone.
    """

    def __init__(
        self,
        database: Database,
        accounts: Mapping[AccountSid, Account],
        recordings: Recordings,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._recordings = recordings
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def find(self, call_sid: CallSid, recording_sid: str) -> Recording | None:
        """Return a recording of a call, or None if the call has no such recording. Raises DatabaseUnavailable."""
        async with self._database.reading() as session:
            return await lookup.find_recording(session, call_sid, recording_sid)

    def kept(self, recording_sid: str) -> PcmAudio | None:
        """Return the audio that was fetched a short time ago, or None."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._kept.popitem(last=False)
        found = self._kept.get(recording_sid)
        return None if found is None else found.audio

    async def fetch(self, recording: Recording) -> PcmAudio:
        """Fetch and decode a recording, as the worker does, and keep the audio for `KEEP_S` seconds.

        Raises CredentialsMissing, MediaNotYet, MediaRefused, TwilioUnavailable or Undecodable.
        """
        account = self._accounts.get(AccountSid(recording.account_sid))
        if account is None:
            raise CredentialsMissing(
                f"this service has no credentials for account {recording.account_sid}: set them and restart"
            )
        media = await self._recordings.fetch(
            account,
            RecordingSid(recording.recording_sid),
            prefer_dual=not is_one_sided(recording),
            rules=AudioRules(can_decode, lambda prefix: has_seconds(prefix, MAX_S)),
        )
        audio = await asyncio.to_thread(decode_pcm, media.data, content_type=media.content_type, max_s=MAX_S)
        self._keep(recording.recording_sid, audio)
        return audio

    def _keep(self, recording_sid: str, audio: PcmAudio) -> None:
        # Every entry lives equally long, so the entries are in the order in which they end.
        self._kept.pop(recording_sid, None)
        self._kept[recording_sid] = _Kept(audio, self._clock() + KEEP_S)
        while sum(kept.audio.size for kept in self._kept.values()) > KEEP_BYTES:
            self._kept.popitem(last=False)
