"""Fetches the audio of labelled recordings, several at once, into the audio store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.prepared_audio import PreparedAudio, prepare_audio
from amd_service.errors import AmdError, DatasetUnusable, TwilioUnavailable
from amd_service.lab.dataset.audio_store import AudioStore, StoredAudio, audio_digest
from amd_service.lab.dataset.candidates import Candidate
from amd_service.lab.dataset.left_out import LeftOut
from amd_service.worker.retry import backoff_s

# Downloads at once. Each holds a recording in memory.
AT_ONCE = 8
# Attempts for a recording while Twilio does not respond, and the first delay between them in seconds.
ATTEMPTS = 4
BASE_S = 1.0

Fetch = Callable[[Candidate], Awaitable[AudioInput]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Collected:
    """A recording whose audio is in the store. `onset_ms`: start of speech, None without speech."""

    candidate: Candidate
    stored: StoredAudio
    sha256: str
    duration_ms: int
    onset_ms: int | None


class Collector:
    """Puts the audio of candidates into the store. Audio that is there already is not fetched again.

    `max_ms`: milliseconds that are kept, from the first sample. `done`: called after each candidate, for a progress
    bar. `sleep`: waits between attempts.
    """

    def __init__(
        self,
        store: AudioStore,
        fetch: Fetch,
        *,
        max_ms: int,
        done: Callable[[], None] = lambda: None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._max_ms = max_ms
        self._done = done
        self._sleep = sleep
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def collect(self, candidates: Sequence[Candidate]) -> tuple[list[Collected], list[LeftOut]]:
        """Return the recordings in the order of `candidates`, and those that could not be fetched or decoded.

        Raises DatasetUnusable if a file cannot be written. The files written before stay, for the next run.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._collect(candidate)) for candidate in candidates]
        except ExceptionGroup as errors:
            unwritable = errors.subgroup(DatasetUnusable)
            if unwritable is None:
                raise
            raise unwritable.exceptions[0] from None
        results = [task.result() for task in tasks]
        collected = [result for result in results if isinstance(result, Collected)]
        return collected, [result for result in results if isinstance(result, LeftOut)]

    async def _collect(self, candidate: Candidate) -> Collected | LeftOut:
        async with self._slots:
            stored = self._store.find(candidate.name)
            try:
                audio = await (
                    self._fetch_patiently(candidate) if stored is None else asyncio.to_thread(stored.audio_input)
                )
                prepared = await asyncio.to_thread(prepare_audio, audio, max_ms=self._max_ms)
            except AmdError as error:
                return LeftOut.of(candidate.title, error)
            finally:
                self._done()
            if stored is None:
                # A dataset file contains one channel. `mixed` is the only fact about the channels that matters later.
                stored = await self._add(candidate.name, prepared)
            digest, length_ms = audio_digest(prepared.waveform), prepared.waveform.duration_ms
            return Collected(candidate, stored, digest, length_ms, prepared.onset_ms)

    async def _add(self, name: str, prepared: PreparedAudio) -> StoredAudio:
        adding = asyncio.create_task(
            asyncio.to_thread(self._store.add, name, prepared.waveform, is_mixed=prepared.party.mixed)
        )
        try:
            return await asyncio.shield(adding)
        except asyncio.CancelledError:
            # A thread cannot be cancelled. Without this wait, it would still write after the error was reported.
            with suppress(DatasetUnusable):
                await adding
            raise

    async def _fetch_patiently(self, candidate: Candidate) -> AudioInput:
        """Fetch, and repeat after an outage of Twilio."""
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._fetch(candidate)
            except TwilioUnavailable as error:
                await self._sleep(max(error.retry_after_s or 0.0, backoff_s(attempt, BASE_S)))
        return await self._fetch(candidate)
