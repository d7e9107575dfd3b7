"""The retry policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.domain import Failure
from amd_service.errors import (
    ClassifierUnavailable,
    CredentialsMissing,
    DatabaseUnavailable,
    MediaNotYet,
    MediaRefused,
    QueueFull,
    TwilioUnavailable,
    Undecodable,
)
from amd_service.worker.retry import (
    MAX_DELAY_S,
    GiveUp,
    NextStep,
    Release,
    RetryLater,
    RetryPolicy,
    backoff_s,
    next_step,
)

POLICY = RetryPolicy(max_attempts=8, base_s=1.0, outage_s=86_400)


def step(error: Exception, attempts: int = 1, waited_s: float = 0.0) -> NextStep:
    return next_step(error, POLICY, attempts=attempts, waited_s=waited_s)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (Undecodable("not audio"), Failure.UNDECODABLE),
        (MediaRefused("401", Failure.UNAUTHORISED), Failure.UNAUTHORISED),
    ],
)
def test_a_permanent_error_ends_the_job_at_once_with_its_reason(error: Exception, failure: Failure) -> None:
    assert step(error) == GiveUp(failure)


def test_missing_audio_is_retried_and_then_the_reason() -> None:
    assert isinstance(step(MediaNotYet("404"), attempts=7), RetryLater)
    assert step(MediaNotYet("404"), attempts=8) == GiveUp(Failure.MEDIA_MISSING)


def test_a_retry_after_is_respected() -> None:
    later = step(TwilioUnavailable("429", retry_after_s=90))
    assert later == Release(90)


def test_a_full_inference_queue_costs_no_attempt() -> None:
    assert isinstance(step(QueueFull("full"), attempts=8), Release)


def test_a_bug_gets_three_attempts() -> None:
    assert isinstance(step(ZeroDivisionError(), attempts=2), RetryLater)
    assert step(ZeroDivisionError(), attempts=3) == GiveUp(Failure.GAVE_UP)


@pytest.mark.parametrize(
    "error", [TwilioUnavailable("503"), ClassifierUnavailable("gone"), DatabaseUnavailable("away")]
)
def test_an_outage_costs_no_attempt_and_its_delays_grow(error: Exception) -> None:
    delays = [step(error, attempts=8, waited_s=waited_s) for waited_s in (0, 60, 3600, 80_000)]
    assert [isinstance(delay, Release) for delay in delays] == [True] * 4
    seconds = [delay.delay_s for delay in delays if isinstance(delay, Release)]
    assert seconds[0] <= 1
    assert 11 <= seconds[1] <= 15
    assert 225 <= seconds[2] <= 300
    assert 225 <= seconds[3] <= 300


def test_after_more_than_a_day_an_outage_costs_attempts_until_the_job_is_given_up() -> None:
    assert isinstance(step(TwilioUnavailable("503"), attempts=7, waited_s=86_401), RetryLater)
    assert step(TwilioUnavailable("503"), attempts=8, waited_s=86_401) == GiveUp(Failure.GAVE_UP)


def test_a_recording_without_a_worker_for_a_day_survives_a_short_outage() -> None:
    assert step(TwilioUnavailable("429", retry_after_s=90), attempts=1, waited_s=90_000) == RetryLater(
        90, Failure.GAVE_UP
    )
    missing = step(CredentialsMissing("no credentials"), attempts=1, waited_s=90_000)
    assert isinstance(missing, RetryLater)
    assert missing.failure is Failure.UNAUTHORISED


@given(attempts=st.integers(1, 10_000), base_s=st.floats(0.01, 60))
def test_delays_grow_and_never_pass_five_minutes(attempts: int, base_s: float) -> None:
    delay_s = backoff_s(attempts, base_s)
    assert min(MAX_DELAY_S, base_s * 2 ** min(attempts - 1, 32)) * 0.75 <= delay_s <= MAX_DELAY_S
