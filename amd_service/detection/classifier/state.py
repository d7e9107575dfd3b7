"""Defines the states of the classifier, from loading to ready or failed."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Phase of the classifier.

    `PROVING`: the model runs, and the golden clips (recordings with known labels) are being scored.
    """

    STOPPED = "stopped"
    LOADING = "loading"
    WARMING = "warming"
    PROVING = "proving"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ClassifierState:
    """The phase, and the reason for this phase as text for people. In phase `failed` the reason names the cure."""

    phase: Phase
    reason: str

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY


# The state of a process that runs without the model. `/predict` returns the reason.
NOT_STARTED = ClassifierState(
    Phase.STOPPED,
    "this process does not load the model: send the request to a process that does, or omit --no-model",
)
