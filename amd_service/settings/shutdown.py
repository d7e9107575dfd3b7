"""Division of the grace time of a shutdown into steps."""

from dataclasses import dataclass
from typing import Self

# Percent of AMD_SHUTDOWN_GRACE_S for each step, in the order of the steps.
_SHARES = {
    "requests_s": 30,
    "periodic_tasks_s": 5,
    "finish_recordings_s": 40,
    "release_recordings_s": 10,
    "actions_s": 5,
    "window_s": 10,
}
if sum(_SHARES.values()) > 100:
    raise AssertionError("the steps of a shutdown take more than 100 percent of the grace time")


@dataclass(frozen=True, slots=True)
class ShutdownBudget:
    """Seconds for each step of a shutdown.

    - `requests_s`: the web server finishes its open requests.
    - `periodic_tasks_s`: a periodic task finishes its current step. A cancelled step is repeated later.
    - `finish_recordings_s`: the worker finishes the recordings that it has claimed.
    - `release_recordings_s`: the worker releases the recordings that are still unfinished.
    - `actions_s`: the service claims the last actions. Then it waits for Twilio's responses, for at most the same time.
      Twilio usually responds within 0.1 s.
    - `window_s`: the classifier finishes its current window.
    """

    requests_s: float
    periodic_tasks_s: float
    finish_recordings_s: float
    release_recordings_s: float
    actions_s: float
    window_s: float

    @classmethod
    def of(cls, grace_s: float) -> Self:
        """The budget of a shutdown that takes at most `grace_s` seconds."""
        return cls(**{step: grace_s * percent / 100 for step, percent in _SHARES.items()})
