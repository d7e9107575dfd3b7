"""Recording → the called party's waveform, the onset of speech, and windows for the model."""

import hashlib
from dataclasses import dataclass, replace

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.channels import CalledParty, called_party
from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.audio.window import LEAD_MS, cut
from amd_service.domain import Anchor, Waveform, Window

# Speech is searched in this much of the beginning.
SEARCH_MS = 15_000
# Shorter audio never goes to the model.
MIN_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAudio:
    """The called party's audio. `onset_ms` is None when the first 15 s hold no speech."""

    party: CalledParty
    onset_ms: int | None
    audio_sha256: str

    @property
    def waveform(self) -> Waveform:
        return self.party.waveform

    @property
    def is_too_short(self) -> bool:
        return self.waveform.duration_ms < MIN_MS

    @property
    def speech_ms(self) -> int:
        """Audio since the onset of speech."""
        return 0 if self.onset_ms is None else self.waveform.duration_ms - self.onset_ms


def prepare_audio(audio: AudioInput, *, max_ms: int) -> PreparedAudio:
    """Decode the first `max_ms`, select the called party and search for speech. CPU-bound: run it on a thread.

    Raises Undecodable, and ConfigurationError for a channel other than 1 or 2.
    """
    tracks = decode(audio.data, content_type=audio.content_type, max_s=max_ms / 1000)
    party = called_party(tracks, channel=audio.channel, one_sided=audio.one_sided)
    long_enough = party.waveform.duration_ms >= MIN_MS
    onset_ms = speech_onset_ms(party.waveform, search_ms=SEARCH_MS) if long_enough else None
    return PreparedAudio(party, onset_ms, hashlib.sha256(audio.data).hexdigest())


def cut_window(prepared: PreparedAudio, anchor: Anchor, length_ms: int) -> Window:
    """The window at the anchor. It starts earlier when less than one second of audio would be left."""
    window = cut(prepared.waveform, onset_ms=prepared.onset_ms, anchor=anchor, length_ms=length_ms)
    if window.duration_ms >= MIN_MS:
        return window
    latest_start_ms = prepared.waveform.duration_ms - MIN_MS
    earlier = cut(prepared.waveform, onset_ms=latest_start_ms + LEAD_MS, anchor=Anchor.ONSET, length_ms=length_ms)
    return replace(window, samples=earlier.samples, start_ms=earlier.start_ms)
