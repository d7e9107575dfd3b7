"""Decides what follows a failed attempt: another attempt, or giving up."""

import random
from dataclasses import dataclass

from amd_service.domain import Failure
from amd_service.errors import Outage, Permanent, QueueFull, Retryable

MAX_DELAY_S = 300.0
# A bug rarely goes away by itself. Two more attempts tell a fluke from a fault.
MAX_BUG_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Release:
    """Release the recording without counting the attempt: the error was not caused by this recording."""

    delay_s: float

    def __str__(self) -> str:
        return f"again in {self.delay_s:.1f} s, uncounted"


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Retry after a delay. `failure`: the reason that is written if no attempt is left by then."""

    delay_s: float
    failure: Failure

    def __str__(self) -> str:
        return f"again in {self.delay_s:.1f} s"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no further attempt. `failure`: the reason that is written on the row."""

    failure: Failure

    def __str__(self) -> str:
        return f"given up as {self.failure}"


NextStep = Release | RetryLater | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`base_s`: the first delay. `outage_s`: for this long after it was enqueued, an outage costs no attempt."""

    max_attempts: int
    base_s: float
    outage_s: float


def next_step(error: Exception, policy: RetryPolicy, *, attempts: int, waited_s: float) -> NextStep:
    """What to do with a recording after `error` in its attempt number `attempts` (from 1).

    `waited_s`: since it was enqueued. An outage costs no attempt until that reaches `outage_s`. After that it still
    gets as many attempts as any other error: no worker may have run in all that time.
    """
    match error:
        case QueueFull():
            return Release(max(error.retry_after_s or 0.0, policy.base_s))
        case Outage() if waited_s < policy.outage_s:
            # A quarter of the waiting time doubles the delay about every third attempt, without a count of them.
            return Release(max(error.retry_after_s or 0.0, _spread(max(policy.base_s, waited_s / 4))))
        case Permanent():
            return GiveUp(error.failure)
        case Retryable() if attempts < policy.max_attempts:
            return RetryLater(max(error.retry_after_s or 0.0, backoff_s(attempts, policy.base_s)), error.failure)
        case Retryable():
            return GiveUp(error.failure)
        case _ if attempts < min(MAX_BUG_ATTEMPTS, policy.max_attempts):
            return RetryLater(backoff_s(attempts, policy.base_s), Failure.GAVE_UP)
        case _:
            return GiveUp(Failure.GAVE_UP)


def backoff_s(attempts: int, base_s: float) -> float:
    """base · 2^(attempts-1), at most 5 minutes, reduced by up to a quarter at random so that a burst spreads out."""
    return _spread(base_s * 2.0 ** min(attempts - 1, 32))


def _spread(delay_s: float) -> float:
    return min(MAX_DELAY_S, delay_s) * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
