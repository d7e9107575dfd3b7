"""The options and the output of `amd-service requeue`."""

from datetime import UTC, datetime, timedelta

import pytest

from amd_service.calls import queue
from amd_service.calls.judged_again import Period
from amd_service.cli.requeue_options import GivenUp, parse_options, requeue_and_print
from amd_service.cli.times import parse_time
from amd_service.database.pool import Database
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from tests.support.deliveries import claim, settle
from tests.support.queued import queued
from tests.support.verdicts import HUMAN

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"judged": True}, "--judged needs --since"),
        ({"since": "7d"}, "--since needs --judged"),
        ({"until": "7d"}, "--until needs --judged"),
        ({"judged": True, "since": "7d", "reason": "gave_up"}, "exclude each other"),
        ({"judged": True, "since": "yesterday"}, "--since yesterday is invalid: use a date or time such as 2026-11-20"),
        ({"judged": True, "since": "7d", "until": "2026-13-01"}, "--until 2026-13-01 is invalid"),
        ({"judged": True, "since": "1d", "until": "2d"}, "--since 1d must be before --until 2d"),
        ({"judged": True, "since": "2999-01-01"}, "--since 2999-01-01 must be before now"),
        ({"reason": "unauthorized"}, "--reason must be one of no_recording, "),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, object], cure: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_options(**options)  # type: ignore[arg-type]
    assert cure in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_options_choose_recordings() -> None:
    assert parse_options() == GivenUp(None)
    assert parse_options(reason="gave_up") == GivenUp(Failure.GAVE_UP)
    chosen = parse_options(judged=True, since="2026-11-20", until="2026-11-21T12:00+02:00")
    assert chosen == Period(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, 10, tzinfo=UTC))


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
async def test_a_dry_run_prints_the_numbers_and_changes_nothing(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    await queued(database, 3)
    first, second, third = await claim(database)
    assert await settle(database, first, HUMAN)
    assert await settle(database, second, HUMAN)
    async with database.transaction() as session:
        assert await queue.give_up(session, third, Failure.UNAUTHORISED, "401")
    judged = parse_options(judged=True, since="1d")
    await requeue_and_print(settings, GivenUp(None), dry_run=True)
    await requeue_and_print(settings, judged, dry_run=True)
    assert capsys.readouterr().out == (
        "1 recording(s) would be requeued\n"
        "2 recording(s) of 2 call(s) would be requeued, to be judged after all new recordings\n"
    )
    assert await claim(database) == []
    await requeue_and_print(settings, judged, dry_run=False)
    assert "2 recording(s) of 2 call(s) requeued" in capsys.readouterr().out
    assert len(await claim(database)) == 2
