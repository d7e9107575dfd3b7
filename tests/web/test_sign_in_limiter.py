"""Limits on attempts to sign in."""

from amd_service.web.sign_in_limiter import (
    IN_TOTAL,
    MAX_KNOWN,
    PER_CLIENT,
    PER_CLIENT_AND_NAME,
    PER_NAME,
    WINDOW_S,
    SignInLimiter,
)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def attempts(limiter: SignInLimiter, count: int, name: str = "ann", client: str = "192.0.2.1") -> list[float]:
    return [limiter.start(name, client) for _ in range(count)]


def test_attempts_with_one_name_from_one_client_are_limited_until_the_window_ends() -> None:
    clock = Clock()
    limiter = SignInLimiter(clock=clock)
    assert attempts(limiter, PER_CLIENT_AND_NAME) == [0] * PER_CLIENT_AND_NAME
    clock.now += 10
    assert attempts(limiter, 2) == [WINDOW_S - 10] * 2  # a refused attempt does not extend the wait
    clock.now += WINDOW_S - 10
    assert attempts(limiter, 1) == [0]


def test_a_client_cannot_try_many_names() -> None:
    limiter = SignInLimiter(clock=Clock())
    waits = [limiter.start(f"name {number}", "192.0.2.1") for number in range(PER_CLIENT + 1)]
    assert [wait > 0 for wait in waits] == [False] * PER_CLIENT + [True]
    assert limiter.start("ann", "192.0.2.2") == 0


def test_many_clients_cannot_try_one_name() -> None:
    limiter = SignInLimiter(clock=Clock())
    waits = [limiter.start("ann", f"192.0.2.{number}") for number in range(PER_NAME + 1)]
    assert [wait > 0 for wait in waits] == [False] * PER_NAME + [True]
    assert limiter.start("ben", "192.0.2.250") == 0


def test_a_person_can_sign_in_from_a_known_client_while_strangers_try_the_name() -> None:
    clock = Clock()
    limiter = SignInLimiter(clock=clock)
    limiter.start("ann", "192.0.2.1")
    limiter.succeed("ann", "192.0.2.1")
    for number in range(IN_TOTAL):
        limiter.start("ann" if number < PER_NAME else f"name {number}", f"203.0.113.{number}")
    assert limiter.start("ann", "192.0.2.2") > 0
    assert limiter.start("ann", "192.0.2.1") == 0
    # Wrong passwords are limited also from a known client.
    assert [wait > 0 for wait in attempts(limiter, PER_CLIENT_AND_NAME)] == [False] * (PER_CLIENT_AND_NAME - 1) + [True]


def test_a_right_password_is_not_counted() -> None:
    limiter = SignInLimiter(clock=Clock())
    for _ in range(10 * PER_CLIENT):
        assert limiter.start("ann", "192.0.2.1") == 0
        limiter.succeed("ann", "192.0.2.1")


def test_signing_in_with_one_name_does_not_allow_more_attempts_with_another() -> None:
    limiter = SignInLimiter(clock=Clock())
    attempts(limiter, PER_CLIENT_AND_NAME)
    limiter.start("mallory", "192.0.2.1")
    limiter.succeed("mallory", "192.0.2.1")
    assert limiter.start("ann", "192.0.2.1") > 0


def test_attempts_whose_password_is_still_checked_are_counted() -> None:
    limiter = SignInLimiter(clock=Clock())
    attempts(limiter, PER_CLIENT_AND_NAME)
    assert limiter.start("ann", "192.0.2.1") > 0
    limiter.withdraw("ann", "192.0.2.1")
    assert limiter.start("ann", "192.0.2.1") == 0


def test_the_memory_is_bounded() -> None:
    limiter = SignInLimiter(clock=Clock())
    admitted = sum(limiter.start(f"name {number}", f"client {number}") == 0 for number in range(10 * IN_TOTAL))
    assert admitted == IN_TOTAL
    limiter = SignInLimiter(clock=Clock())
    for number in range(MAX_KNOWN + 1):
        limiter.succeed(f"name {number}", "192.0.2.1")
    for number in range(IN_TOTAL):
        limiter.start(f"stranger {number}", f"client {number}")
    assert limiter.start("name 0", "192.0.2.1") > 0  # the oldest is forgotten
    assert limiter.start("name 1", "192.0.2.1") == 0
