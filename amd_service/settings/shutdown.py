"""How the steps of a shutdown share its grace time."""

from dataclasses import dataclass
from typing import Self

# In percent of AMD_SHUTDOWN_GRACE_S, in the order of the steps.
_SHARES = {
    "requests_s": 30,
    "periodic_tasks_s": 5,
    "finish_recordings_s": 40,
    "release_recordings_s": 10,
    "actions_s": 5,
    "window_s": 10,
}
if sum(_SHARES.values()) > 100:
    raise AssertionError("the steps of a shutdown share more than the grace time")


@dataclass(frozen=True, slots=True)
class ShutdownBudget:
    """Seconds for each step of a shutdown.

    `requests_s`: open requests of the web server. `periodic_tasks_s`: a task in the middle of its work; each of its
    steps can be cancelled and repeated. `finish_recordings_s`: recordings that the worker holds.
    `release_recordings_s`: writing back those that are not finished by then. `actions_s`: each of claiming the last
    actions and waiting for Twilio's responses, which usually take a tenth of a second. `window_s`: the window that the
    classifier scores.
    """

    requests_s: float
    periodic_tasks_s: float
    finish_recordings_s: float
    release_recordings_s: float
    actions_s: float
    window_s: float

    @classmethod
    def of(cls, grace_s: float) -> Self:
        """The budget of a shutdown that may take `grace_s` seconds."""
        return cls(**{step: grace_s * percent / 100 for step, percent in _SHARES.items()})
