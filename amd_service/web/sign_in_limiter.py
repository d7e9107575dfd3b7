"""Limits wrong passwords, so that nobody can find a password by trial."""

from collections import deque
from collections.abc import Callable
from time import monotonic

WINDOW_S = 60.0
PER_NAME = 5
PER_PROCESS = 50


class SignInLimiter:
    """Counts the wrong passwords of the last minute, for each name and for the whole process."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque()

    def wait_s(self, name: str) -> float:
        """Seconds until the next attempt with this name is allowed; 0 if it is allowed now."""
        now = self._clock()
        while self._failures and now - self._failures[0][0] >= WINDOW_S:
            self._failures.popleft()
        of_name = [moment for moment, failed in self._failures if failed == name]
        limits = ((of_name, PER_NAME), ([moment for moment, _ in self._failures], PER_PROCESS))
        return max((WINDOW_S - (now - times[-limit]) for times, limit in limits if len(times) >= limit), default=0.0)

    def record_failure(self, name: str) -> None:
        """Count a wrong name or password."""
        self._failures.append((self._clock(), name))
