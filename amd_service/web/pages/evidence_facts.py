"""Says in short phrases which evidence a verdict has: rhythm, beep, tones, music."""

from collections.abc import Mapping
from typing import Any

from amd_service.domain import Heard

HEARD: Mapping[Heard, str] = {
    Heard.SIT_VACANT: "information tone: the number does not exist",
    Heard.SIT_INTERCEPT: "information tone: the number has changed or is disconnected",
    Heard.SIT_REORDER: "information tone: the exchange could not complete the call",
    Heard.SIT_NO_CIRCUIT: "information tone: the network is busy",
    Heard.SIT_INEFFECTIVE: "information tone: the call was not dialled as required",
    Heard.SIT_OTHER: "information tone: the call failed",
    Heard.BUSY: "busy tone",
    Heard.FAX: "fax or modem",
    Heard.RINGBACK: "ringback",
    Heard.MUSIC: "music",
}


def evidence_facts(evidence: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return name and phrase of each piece of evidence. Empty without evidence."""
    if evidence is None:
        return []
    facts = [("Rhythm", _rhythm(evidence["rhythm"]))]
    if beep := evidence["beep"]:
        facts.append(("Beep", f"at {_s(beep['start_ms'])}, {_s(beep['length_ms'])} long, {beep['frequency_hz']} Hz"))
    if tones := _tones(evidence["tones"]):
        facts.append(("Tones", ", ".join(tones)))
    if evidence["music"]["is_music"]:
        facts.append(("Music", f"{evidence['music']['share']:.0%} of the audible time"))
    if evidence["heard"]:
        facts.append(("Only sound", HEARD[Heard(evidence["heard"])]))
    return facts


def _rhythm(rhythm: Mapping[str, Any]) -> str:
    if rhythm["speech_at_ms"] is None:
        return f"no speech in {_s(rhythm['audio_ms'])}"
    pauses = f"{rhythm['pauses']} {'pause' if rhythm['pauses'] == 1 else 'pauses'}"
    return (
        f"speech after {_s(rhythm['speech_at_ms'])}, first {_s(rhythm['first_burst_ms'])} without a pause, "
        f"{rhythm['speech_share']:.0%} of {_s(rhythm['audio_ms'])} is speech, {pauses}, "
        f"{_s(rhythm['trailing_silence_ms'])} of silence at the end"
    )


def _tones(tones: Mapping[str, Any]) -> list[str]:
    found = [name for name in ("ringback", "busy") if tones[name]]
    if tones["sit"]:
        found.append(f"information tone ({tones['sit'].replace('_', ' ')})")
    if tones["fax"]:
        found.append(f"fax ({tones['fax'].upper()})")
    return [*found, f"keys {tones['dtmf']}"] if tones["dtmf"] else found


def _s(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"
