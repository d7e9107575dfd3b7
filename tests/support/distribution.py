"""Distribution of the tests to the workers of pytest-xdist."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

BROWSER_TESTS = "tests/browser/"


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Gives each worker whole files, and one worker all files of BROWSER_TESTS."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else str(super()._split_scope(nodeid))


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler for pytest_xdist_make_scheduler."""
    return _ByFile(config, log)
