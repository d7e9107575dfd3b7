"""The budget divides the grace time of a shutdown."""

from dataclasses import astuple

from amd_service.settings.shutdown import ShutdownBudget


def test_the_steps_of_a_shutdown_fit_into_the_grace_time() -> None:
    assert sum(astuple(ShutdownBudget.of(25.0))) <= 25.0
    assert ShutdownBudget.of(25.0).finish_recordings_s == 10.0
