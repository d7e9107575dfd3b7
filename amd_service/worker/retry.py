"""Decides what follows a failed attempt: release the recording, retry later, or give up."""

import random
from dataclasses import dataclass

from amd_service.domain import Failure
from amd_service.errors import Outage, Permanent, QueueFull, Retryable

# Maximum delay before a retry, in seconds.
MAX_DELAY_S = 300.0
# Maximum number of attempts after an unexpected error, which is a bug in this service. Two retries are enough to show
# whether the bug is permanent.
MAX_BUG_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Release:
    """Release the recording without counting the attempt, because the recording did not cause the error."""

    delay_s: float

    def __str__(self) -> str:
        return f"retry in {self.delay_s:.1f} s, attempt not counted"


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Retry after a delay. `failure`: the reason that is stored if the recording has no attempts left."""

    delay_s: float
    failure: Failure

    def __str__(self) -> str:
        return f"retry in {self.delay_s:.1f} s"


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Give up the recording. `failure`: the reason that is stored on its row."""

    failure: Failure

    def __str__(self) -> str:
        return f"give up: {self.failure}"


NextStep = Release | RetryLater | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of retries.

    `base_s`: the first delay in seconds. `outage_s`: an outage within this many seconds after the recording was
    enqueued does not count as an attempt.
    """

    max_attempts: int
    base_s: float
    outage_s: float


def next_step(error: Exception, policy: RetryPolicy, *, attempts: int, waited_s: float) -> NextStep:
    """Decide what happens to a recording after `error` in its attempt number `attempts` (counted from 1).

    `waited_s`: seconds since the recording was enqueued. An outage does not count as an attempt while `waited_s` is
    less than `outage_s`. Later outages count. A recording starts with all its attempts even if no worker ran for longer
    than `outage_s`.
    """
    match error:
        case QueueFull():
            return Release(max(error.retry_after_s or 0.0, policy.base_s))
        case Outage() if waited_s < policy.outage_s:
            # These attempts are not counted, so the delay is a quarter of `waited_s`. Such a delay doubles about every
            # third attempt.
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
    """Return the delay before the next attempt: `base_s` · 2^(`attempts` - 1) seconds, at most 300 seconds.

    A random part of up to a quarter is subtracted, so that recordings which failed together are not retried together.
    """
    return _spread(base_s * 2.0 ** min(attempts - 1, 32))


def _spread(delay_s: float) -> float:
    return min(MAX_DELAY_S, delay_s) * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
