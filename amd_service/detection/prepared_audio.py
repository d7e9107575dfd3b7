"""Prepares a recording: the called party's waveform, the onset of speech, and windows for the model."""

import hashlib
from dataclasses import dataclass, replace

from amd_service.detection.audio.activity import measure_activity
from amd_service.detection.audio.channels import CalledParty, called_party
from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.audio.window import LEAD_MS, cut
from amd_service.detection.evidence.findings import Evidence
from amd_service.detection.evidence.measure import measure_evidence
from amd_service.domain import Anchor, Waveform, Window

# The search for speech covers this many milliseconds from the first sample.
SEARCH_MS = 15_000
# Minimum length, in ms, of audio that the model scores.
MIN_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAudio:
    """The called party's audio.

    `onset_ms`: None if the audio is too short or its first 15 s contain no speech. `evidence`: None if the audio is too
    short.
    """

    party: CalledParty
    onset_ms: int | None
    evidence: Evidence | None
    audio_sha256: str

    @property
    def waveform(self) -> Waveform:
        return self.party.waveform

    @property
    def is_too_short(self) -> bool:
        return self.waveform.duration_ms < MIN_MS

    @property
    def speech_ms(self) -> int:
        """Milliseconds of audio after the onset of speech, or 0 if the audio has no speech."""
        return 0 if self.onset_ms is None else self.waveform.duration_ms - self.onset_ms


def prepare_audio(audio: AudioInput, *, max_ms: int) -> PreparedAudio:
    """Decode the first `max_ms` of a recording, select the called party, search for speech and
    measure the evidence.

    The work is CPU-bound: run this function on a worker thread. Raises Undecodable. Raises ConfigurationError for a
    channel other than 1 or 2.
    """
    tracks = decode(audio.data, content_type=audio.content_type, max_s=max_ms / 1000)
    party = called_party(tracks, channel=audio.channel, one_sided=audio.one_sided)
    long_enough = party.waveform.duration_ms >= MIN_MS
    activity = measure_activity(party.waveform, length_ms=max_ms) if long_enough else None
    return PreparedAudio(
        party,
        onset_ms=activity.onset_ms(SEARCH_MS) if activity else None,
        evidence=measure_evidence(activity) if activity else None,
        audio_sha256=hashlib.sha256(audio.data).hexdigest(),
    )


def cut_window(prepared: PreparedAudio, anchor: Anchor, length_ms: int) -> Window:
    """Cut the window at the anchor. The window starts earlier if less than one second of audio follows the anchor."""
    window = cut(prepared.waveform, onset_ms=prepared.onset_ms, anchor=anchor, length_ms=length_ms)
    if window.duration_ms >= MIN_MS:
        return window
    latest_start_ms = prepared.waveform.duration_ms - MIN_MS
    earlier = cut(prepared.waveform, onset_ms=latest_start_ms + LEAD_MS, anchor=Anchor.ONSET, length_ms=length_ms)
    return replace(window, samples=earlier.samples, start_ms=earlier.start_ms)
