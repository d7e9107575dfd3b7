"""What follows an error: another attempt, or the end."""

import random
from dataclasses import dataclass

from amd_service.domain import Failure
from amd_service.errors import Outage, Permanent, QueueFull, Retryable

MAX_DELAY_S = 300.0
# A bug rarely heals by itself; two more tries tell a fluke from a fault.
MAX_BUG_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Release:
    """Not this recording's fault: put it back, the attempt does not count."""

    delay_s: float

    def __str__(self) -> str:
        return f"again in {self.delay_s:.1f} s, uncounted"


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try again after a delay; `failure` is what it ends as should no attempt be left by then."""

    delay_s: float
    failure: Failure

    def __str__(self) -> str:
        return f"again in {self.delay_s:.1f} s"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt; `failure` is written on the row."""

    failure: Failure

    def __str__(self) -> str:
        return f"given up as {self.failure}"


NextStep = Release | RetryLater | GiveUp


def next_step(
    error: Exception, *, attempts: int, max_attempts: int, base_s: float, waited_s: float, outage_s: float
) -> NextStep:
    """What to do with a recording after `error` in its attempt number `attempts` (from 1).

    `waited_s`: since it was put up for work. An outage costs no attempt until that reaches `outage_s`, then as many as
    anything else: where no worker was running all the while, nothing has been tried yet.
    """
    match error:
        case QueueFull():
            return Release(max(error.retry_after_s or 0.0, base_s))
        case Outage() if waited_s < outage_s:
            # A quarter of the time it has lasted: doubles about every third try, and needs no count.
            return Release(max(error.retry_after_s or 0.0, _spread(max(base_s, waited_s / 4))))
        case Permanent():
            return GiveUp(error.failure)
        case Retryable() if attempts < max_attempts:
            return RetryLater(max(error.retry_after_s or 0.0, backoff_s(attempts, base_s)), error.failure)
        case Retryable():
            return GiveUp(error.failure)
        case _ if attempts < min(MAX_BUG_ATTEMPTS, max_attempts):
            return RetryLater(backoff_s(attempts, base_s), Failure.GAVE_UP)
        case _:
            return GiveUp(Failure.GAVE_UP)


def backoff_s(attempts: int, base_s: float) -> float:
    """base · 2^(attempts-1), at most 5 minutes, less up to a quarter so that a burst spreads out."""
    return _spread(base_s * 2.0 ** min(attempts - 1, 32))


def _spread(delay_s: float) -> float:
    return min(MAX_DELAY_S, delay_s) * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
