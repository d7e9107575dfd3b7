"""The options and the output of `amd-service rejudge`."""

import json
from datetime import UTC, datetime

import pytest

from amd_service.calls.judged_again import Period
from amd_service.cli.rejudge_past_calls import Options, rejudge_and_print
from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from tests.support.call_verdicts import judged, store_verdicts
from tests.support.deliveries import claim

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_the_options_choose_calls() -> None:
    chosen = Options("2026-11-20", "2026-11-21T12:00+02:00", campaign="spring").period(NOW)
    assert chosen == Period(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, 10, tzinfo=UTC), "spring")


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        (Options("yesterday"), "--since yesterday is invalid: use a date or time such as 2026-11-20"),
        (Options("7d", "2026-13-01"), "--until 2026-13-01 is invalid"),
        (Options("1d", "2d"), "--since 1d must be before --until 2d"),
        (Options("2999-01-01"), "--since 2999-01-01 must be before now"),
    ],
)
def test_a_period_without_calls_is_refused(options: Options, cure: str) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        options.period(NOW)


async def test_recordings_are_requeued_and_a_dry_run_changes_nothing(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    await store_verdicts(database, [judged(Label.HUMAN, 0.9)] * 3)
    await rejudge_and_print(settings, Options("1d", dry_run=True), as_json=False)
    assert capsys.readouterr().out == (
        "3 recording(s) of 3 call(s) would be requeued, to be judged after all new recordings\n"
    )
    assert await claim(database) == []
    await rejudge_and_print(settings, Options("1d", limit=2, per_minute=1), as_json=False)
    assert capsys.readouterr().out == (
        "2 recording(s) of 2 call(s) requeued, to be judged after all new recordings\n"
        "they become due within 2 minute(s), 1 per minute\n"
    )
    await rejudge_and_print(settings, Options("1d", campaign="spring"), as_json=True)
    assert json.loads(capsys.readouterr().out)["requeued"] == 0
    await rejudge_and_print(settings, Options("1d", campaign="spring"), as_json=False)
    assert "selected by the time at which they began" in capsys.readouterr().out
