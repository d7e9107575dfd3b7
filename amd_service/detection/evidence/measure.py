"""Measures all evidence in the audio of a recording."""

from amd_service.detection.audio.activity import RATE_HZ, Activity
from amd_service.detection.evidence.beep import find_beep
from amd_service.detection.evidence.findings import Evidence, Music, Sit, Tones
from amd_service.detection.evidence.music import measure_music
from amd_service.detection.evidence.rhythm import measure_rhythm, speech_spans
from amd_service.detection.evidence.tone_segments import find_tone_segments
from amd_service.detection.evidence.tones import recognise_tones
from amd_service.domain import Heard

_SIT = {
    Sit.VACANT: Heard.SIT_VACANT,
    Sit.INTERCEPT: Heard.SIT_INTERCEPT,
    Sit.REORDER: Heard.SIT_REORDER,
    Sit.NO_CIRCUIT: Heard.SIT_NO_CIRCUIT,
    Sit.INEFFECTIVE: Heard.SIT_INEFFECTIVE,
    Sit.OTHER: Heard.SIT_OTHER,
}


def measure_evidence(activity: Activity) -> Evidence:
    """Measure rhythm, beep, tones and music. Takes about a third of the time of `measure_activity`."""
    audio_ms = len(activity.samples) * 1000 // RATE_HZ
    spans = speech_spans(activity)
    segments = find_tone_segments(activity)
    tones = recognise_tones(segments)
    music = measure_music(activity, [segment for segment in segments if segment.rest < 0.05])
    has_speech = bool(spans) and not music.is_music
    return Evidence(
        audio_ms=audio_ms,
        rhythm=measure_rhythm(spans, audio_ms),
        beep=find_beep(activity, segments, spans),
        tones=tones,
        music=music,
        heard=None if has_speech else _heard(tones, music),
    )


def _heard(tones: Tones, music: Music) -> Heard | None:
    """Return the most telling sound. An information tone says more than the ringback before it."""
    if tones.sit is not None:
        return _SIT[tones.sit]
    if tones.fax is not None:
        return Heard.FAX
    if tones.busy:
        return Heard.BUSY
    if music.is_music:
        return Heard.MUSIC
    return Heard.RINGBACK if tones.ringback else None
