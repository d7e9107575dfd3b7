"""Dataclasses of the evidence. All times are in ms from the first sample of the recording."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from amd_service.domain import Heard


class Sit(StrEnum):
    """Category of special information tones (SIT), by Bellcore's lengths and frequencies of the three segments."""

    VACANT = "vacant"
    INTERCEPT = "intercept"
    REORDER = "reorder"
    NO_CIRCUIT = "no_circuit"
    INEFFECTIVE = "ineffective"
    OTHER = "other"


class Fax(StrEnum):
    """Signal of a fax machine: CNG (1100 Hz, the caller) or CED (2100 Hz, the called machine), ITU-T T.30."""

    CNG = "cng"
    CED = "ced"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Speech and pauses in the first 8 s of the recording.

    `audio_ms`: length of the examined audio. `speech_at_ms`: start of speech, None without speech. `first_burst_ms`:
    speech until the first pause. `longest_run_ms`: longest speech without a pause. `speech_share`: share of speech in
    the examined audio, from 0 to 1. `pauses`, `longest_pause_ms`: pauses between speech. `trailing_silence_ms`: time
    from the last speech to the end of the examined audio.
    """

    audio_ms: int
    speech_at_ms: int | None
    first_burst_ms: int
    longest_run_ms: int
    speech_share: float
    pauses: int
    longest_pause_ms: int
    trailing_silence_ms: int


@dataclass(frozen=True, slots=True)
class Beep:
    """A beep after speech. `follows_speech`: the speech before the beep had no long pause, as in a greeting."""

    start_ms: int
    length_ms: int
    frequency_hz: int
    follows_speech: bool


@dataclass(frozen=True, slots=True)
class Tones:
    """Signals of exchanges and machines. `tone_ms`: milliseconds of all tones together. `dtmf`: digits in order."""

    tone_ms: int
    ringback: bool
    busy: bool
    sit: Sit | None
    fax: Fax | None
    dtmf: str


@dataclass(frozen=True, slots=True)
class Music:
    """`share`: share of the audible seconds that sound like music, from 0 to 1."""

    share: float
    is_music: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence in the audio that was decoded, `audio_ms` long.

    `heard`: the only kind of sound in the audio, if it is neither speech nor silence.
    """

    audio_ms: int
    rhythm: Rhythm
    beep: Beep | None
    tones: Tones
    music: Music
    heard: Heard | None

    def as_dict(self) -> dict[str, object]:
        """Return JSON-ready values. A verdict is stored with these values."""
        return asdict(self)
