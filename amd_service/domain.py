"""The words of the house: identifiers, closed sets, and the values that travel between its rooms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

AccountSid = NewType("AccountSid", str)
CallSid = NewType("CallSid", str)
RecordingSid = NewType("RecordingSid", str)
ConferenceSid = NewType("ConferenceSid", str)
StreamSid = NewType("StreamSid", str)

# Patterns from Twilio's OpenAPI description (twilio_api_v2010.json).
_SID_PATTERN = re.compile(r"(AC|CA|RE|CF|MZ)[0-9a-fA-F]{32}")


def is_sid(value: str, prefix: str) -> bool:
    """Whether `value` is a well-formed Twilio SID of the given two-letter kind."""
    return value.startswith(prefix) and _SID_PATTERN.fullmatch(value) is not None


class Label(StrEnum):
    """What a verdict says. `UNDECIDED` is an honest answer, never turned into one of the other two."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why a judged call got its label."""

    CONFIDENT = "confident"
    LOW_CONFIDENCE = "low_confidence"
    NO_SPEECH = "no_speech"
    TOO_SHORT = "too_short"


class Failure(StrEnum):
    """Why a call could not be judged. Never written as a label."""

    NO_RECORDING = "no_recording"
    RECORDING_FAILED = "recording_failed"
    MEDIA_MISSING = "media_missing"
    UNAUTHORISED = "unauthorised"
    ENCRYPTED = "encrypted"
    EXTERNAL_STORAGE = "external_storage"
    UNDECODABLE = "undecodable"
    MODEL_FAILED = "model_failed"
    GAVE_UP = "gave_up"


class AnalysisState(StrEnum):
    """How far the analysis of a call has come."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    JUDGED = "judged"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


class Source(StrEnum):
    """What a verdict was given on."""

    RECORDING = "recording"
    STREAM = "stream"


class ActionKind(StrEnum):
    """What may be done to a call that is still up, once its verdict stands."""

    HANG_UP = "hang_up"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Action:
    """What the deployment wants done after a verdict. `url`: the TwiML to redirect to, None when hanging up."""

    kind: ActionKind
    url: str | None = None


class ActionState(StrEnum):
    """How far an action has come. Only `DUE` is ever taken up: what may have been done is not done twice."""

    DUE = "due"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Anchor(StrEnum):
    """Where the window begins: at answer, at speech onset, or whichever fits (`auto`)."""

    AUTO = "auto"
    ANSWER = "answer"
    ONSET = "onset"


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Mono audio. `samples`: float32, shape (n,), in [-1, 1]. `rate_hz`: samples per second."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_ms(self) -> int:
        return len(self.samples) * 1000 // self.rate_hz


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The stretch of the called party's audio that is given to the model.

    `samples`: float32, shape (n,), at 16 kHz, in [-1, 1]. `start_ms`: where it begins in the recording.
    `onset_ms`: where speech begins in the recording, None when none was found.
    """

    samples: NDArray[np.float32]
    start_ms: int
    onset_ms: int | None

    @property
    def duration_ms(self) -> int:
        return len(self.samples) // 16


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities from one model run; they sum to 1."""

    human: float
    voicemail: float

    def as_dict(self) -> dict[str, float]:
        return {"human": self.human, "voicemail": self.voicemail}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """All that is needed to get the same scores again.

    `revision`: resolved commit of a hub model, None for a folder. `weights_sha256`: hex digest of the weights
    file. `proof`: what the golden clips said about the label order (`unproven` until they ran).
    """

    id: str
    revision: str | None
    weights_sha256: str
    engine: str = "torch"
    precision: str = "fp32"
    proof: str = "unproven"


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One run of the model on one window."""

    scores: Scores
    window_start_ms: int
    window_ms: int
    inference_ms: float
    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the detector says about one recording.

    `confidence` is the probability of the top class in the deciding (last) run, also when the label is
    `undecided`; it is None exactly when no model ran. `channel` is the judged channel, counted from 1, None
    when the audio was mixed down. `policy` holds the thresholds that were in force.
    """

    label: Label
    confidence: float | None
    reason: Reason
    onset_ms: int | None
    runs: tuple[ModelRun, ...]
    channel: int | None
    channels_mixed: bool
    audio_sha256: str
    policy: Mapping[str, object] = field(default_factory=dict)


class RecordingSource(StrEnum):
    """Twilio's RecordingSource values that decide which channel is the called party."""

    OUTBOUND_API = "OutboundAPI"
    DIAL_VERB = "DialVerb"
    START_CALL_RECORDING_API = "StartCallRecordingAPI"
    RECORD_VERB = "RecordVerb"
    CONFERENCE = "Conference"
    START_CONFERENCE_RECORDING_API = "StartConferenceRecordingAPI"
    TRUNKING = "Trunking"


@dataclass(frozen=True, slots=True)
class StatusCallback:
    """A call status callback, parsed. Empty or absent parameters are None: no news.

    `recording_sid`: on `completed`, of a call placed with Record=true; its media may not be ready yet.
    """

    account_sid: AccountSid
    call_sid: CallSid
    call_status: str
    sequence_number: int | None = None
    timestamp: datetime | None = None
    parent_call_sid: CallSid | None = None
    direction: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    duration_s: int | None = None
    answered_by: str | None = None
    machine_detection_ms: int | None = None
    sip_response_code: int | None = None
    error_code: int | None = None
    billed_min: int | None = None
    recording_sid: RecordingSid | None = None


@dataclass(frozen=True, slots=True)
class AmdCallback:
    """A result of Twilio's own asynchronous answering-machine detection. `machine_detection_ms`: how long it took."""

    account_sid: AccountSid
    call_sid: CallSid
    answered_by: str
    machine_detection_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RecordingCallback:
    """A recording status callback, parsed. Empty or absent parameters are None: no news.

    `call_sid` is None for a conference's recording, which may name the conference alone.
    """

    account_sid: AccountSid
    call_sid: CallSid | None
    recording_sid: RecordingSid
    recording_status: str
    source: str | None = None
    track: str | None = None
    channels: int | None = None
    started_at: datetime | None = None
    duration_s: int | None = None
    error_code: int | None = None
    conference_sid: ConferenceSid | None = None


# The route of what Twilio's API told when it was asked: nobody signed it.
REST_ROUTE = "rest"


@dataclass(frozen=True, slots=True)
class RawCallback:
    """An accepted request as it came: route (`status`, `recording`, `amd`, `rest`) and its decoded form parameters."""

    route: str
    parameters: tuple[tuple[str, str], ...]
    idempotency_token: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed recording: what the pipeline needs to judge it, and what guards its settlement.

    `locked_by`: the worker and a mark of this one claim.
    """

    recording_sid: RecordingSid
    account_sid: AccountSid
    call_sid: CallSid
    source: str | None
    track: str | None
    attempts: int
    locked_by: str
    # Since it was first put up for work, by the database's clock.
    waited_s: float
