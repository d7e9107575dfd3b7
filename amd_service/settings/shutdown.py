"""Divides the grace time of a shutdown into steps."""

from dataclasses import dataclass
from typing import Self

# Percent of AMD_SHUTDOWN_GRACE_S for each step, in the order of the steps.
_SHARES = {
    "requests_s": 20,
    "periodic_tasks_s": 5,
    "finish_recordings_s": 40,
    "release_recordings_s": 10,
    "finish_deliveries_s": 3,
    "release_deliveries_s": 2,
    "action_loop_s": 2,
    "start_actions_s": 3,
    "await_actions_s": 5,
    "window_s": 8,
    "fold_s": 2,
}


@dataclass(frozen=True, slots=True)
class ShutdownBudget:
    """Seconds for each step of a shutdown.

    - `requests_s`: the web server finishes its open requests.
    - `periodic_tasks_s`: a periodic task finishes its current step. A cancelled step is repeated later.
    - `finish_recordings_s`: the worker finishes the recordings that it has claimed.
    - `release_recordings_s`: the worker releases the recordings that are still unfinished.
    - `finish_deliveries_s`: backends, and Twilio for annotations, answer the requests that are open.
    - `release_deliveries_s`: the deliveries whose requests were interrupted are released, and sent again later.
    - `action_loop_s`: the action loop finishes its current pass.
    - `start_actions_s`: the actions of the last verdicts start.
    - `await_actions_s`: the running actions wait for Twilio's responses, which usually take 0.1 s.
    - `window_s`: the classifier finishes its current window.
    - `fold_s`: the last callbacks are folded. Another process, or the next start, folds the rest.
    """

    requests_s: float
    periodic_tasks_s: float
    finish_recordings_s: float
    release_recordings_s: float
    finish_deliveries_s: float
    release_deliveries_s: float
    action_loop_s: float
    start_actions_s: float
    await_actions_s: float
    window_s: float
    fold_s: float

    @classmethod
    def of(cls, grace_s: float) -> Self:
        """Divide `grace_s` seconds among the steps of a shutdown."""
        return cls(**{step: grace_s * percent / 100 for step, percent in _SHARES.items()})
