"""The options and the output of `amd-service requeue`."""

from datetime import UTC, datetime, timedelta

import pytest

from amd_service.calls import queue
from amd_service.cli.requeue_recordings import requeue_and_print
from amd_service.cli.times import parse_time
from amd_service.database.pool import Database
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from tests.support.deliveries import claim
from tests.support.queued import queued

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T15:30Z", datetime(2026, 11, 20, 15, 30, tzinfo=UTC)),
        ("2026-11-20 15:30:01", datetime(2026, 11, 20, 15, 30, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_or_a_duration(text: str, expected: datetime) -> None:
    assert parse_time(text, "--since", now=NOW) == expected


@pytest.mark.anyio
async def test_an_unknown_reason_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--reason must be one of no_recording, "):
        await requeue_and_print(Settings(_env_file=None), "unauthorized", dry_run=True)


@pytest.mark.anyio
async def test_a_dry_run_prints_the_number_and_changes_nothing(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    await queued(database, 2)
    for job in await claim(database):
        async with database.transaction() as session:
            assert await queue.give_up(session, job, Failure.UNAUTHORISED, "401")
    await requeue_and_print(settings, "unauthorised", dry_run=True)
    assert capsys.readouterr().out == "2 recording(s) would be requeued\n"
    assert await claim(database) == []
    await requeue_and_print(settings, None, dry_run=False)
    assert capsys.readouterr().out == "2 recording(s) requeued\n"
    assert len(await claim(database)) == 2
