"""The budget divides the grace time of a shutdown."""

from dataclasses import astuple

from amd_service.settings.shutdown import ShutdownBudget


def test_the_steps_of_a_shutdown_together_take_no_longer_than_the_grace_time() -> None:
    assert sum(astuple(ShutdownBudget.of(25.0))) <= 25.0


def test_finishing_recordings_gets_the_largest_share() -> None:
    budget = ShutdownBudget.of(25.0)
    assert budget.finish_recordings_s == max(astuple(budget)) == 10.0
