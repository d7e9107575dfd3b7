"""Calls with verdicts to act on, and what acts on them."""

import pytest

from amd_service.operations import act_on_verdict as acting_file


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting_file, "RETRY_PAUSES_S", (0.0, 0.0))
