"""The options and the output of `amd-service whatif`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amd_service.calls.call_filter import CallFilter
from amd_service.cli.whatif_report import Options, ask_and_print
from amd_service.database.pool import Database
from amd_service.detection.decide_again import Thresholds
from amd_service.detection.decision import Policy
from amd_service.domain import Label
from amd_service.errors import ConfigurationError, InvalidThreshold
from amd_service.settings import Settings
from tests.support.call_verdicts import judged, store_verdicts

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def options(
    since: str = "1d", *, until: str | None = None, campaign: str | None = None, **thresholds: float
) -> Options:
    known: dict[str, float | None] = {"both": None, "human": None, "voicemail": None}
    return Options(since, until, campaign, **known | thresholds)


def test_the_options_choose_calls() -> None:
    chosen = options("2026-11-20", until="1d", campaign="spring").call_filter(NOW)
    assert chosen == CallFilter(
        since=datetime(2026, 11, 20, tzinfo=UTC), until=datetime(2026, 11, 21, 12, tzinfo=UTC), campaign="spring"
    )


@pytest.mark.parametrize(
    ("chosen", "cure"),
    [
        (options("yesterday"), "--since yesterday is invalid"),
        (options("1d", until="2d"), "--since 1d must be before --until 2d"),
        (options("2999-01-01"), "--since 2999-01-01 must be before now"),
    ],
)
def test_a_period_without_calls_is_refused(chosen: Options, cure: str) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        chosen.call_filter(NOW)


@pytest.mark.parametrize(
    ("thresholds", "reason"),
    [
        ({"both": 1.0}, "min confidence 1 must be below 1: no confidence reaches it"),
        ({"human": 1.5}, "min confidence of human 1.5 must be below 1"),
        ({"voicemail": 0.5}, "min confidence of voicemail 0.5 must be above 0.5"),
        ({"both": float("nan")}, "must be above 0.5"),
    ],
)
def test_a_threshold_that_decides_nothing_is_refused(thresholds: dict[str, float], reason: str) -> None:
    policy = Policy.from_settings(Settings(_env_file=None))
    with pytest.raises(InvalidThreshold, match=reason):
        Thresholds.changed(policy, **thresholds)


def test_an_option_for_one_label_takes_precedence_over_the_option_for_both_and_over_the_settings() -> None:
    policy = Policy.from_settings(Settings(_env_file=None, min_confidence_human=0.9))
    assert Thresholds.changed(policy) == Thresholds(0.9, 0.7)
    assert Thresholds.changed(policy, both=0.8) == Thresholds(0.8, 0.8)
    assert Thresholds.changed(policy, both=0.8, human=0.6) == Thresholds(0.6, 0.8)


async def test_the_result_is_a_table_for_people_and_one_document_for_programs(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    await store_verdicts(
        database, [judged(Label.HUMAN, 0.97), judged(Label.HUMAN, 0.8), judged(Label.VOICEMAIL, 0.4, 0.1)]
    )
    await ask_and_print(settings, options(both=0.95), as_json=False)
    text = capsys.readouterr().out
    assert text.startswith("3 judged calls, if human needs at least 0.95 and voicemail at least 0.95\n")
    assert [line.split()[:3] for line in text.splitlines()[3:6]] == [
        ["human", "same", "1"],
        ["human", "not", "known"],
        ["voicemail", "undecided", "1"],
    ]
    assert "1 verdicts would change (33.3%); 1 (33.3%) cannot be known without the audio" in text
    assert "no call has a score of 0.95 for voicemail, the highest is 0.900" in text
    assert "humans called voicemail  no reviews" in text
    await ask_and_print(settings, options(both=0.95), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["calls"], found["changed"], found["unknown"]) == (3, 1, 1)
    assert found["min_confidence"] == {"human": 0.95, "voicemail": 0.95}
    assert {"before": "voicemail", "after": "undecided", "calls": 1} in [
        {name: change[name] for name in ("before", "after", "calls")} for change in found["changes"]
    ]


async def test_without_a_threshold_the_command_names_an_option(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=database_url)
    await ask_and_print(settings, options(), as_json=False)
    assert "--min-confidence-voicemail 0.9" in capsys.readouterr().err
    await ask_and_print(settings, options(voicemail=0.9), as_json=False)
    assert capsys.readouterr().err == ""


async def test_thresholds_that_only_the_model_states_are_the_present_ones(
    database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "windows.json").write_text('{"min_confidence_human": 0.9}')
    settings = Settings(_env_file=None, database_url=database_url, model=str(tmp_path))
    await store_verdicts(database, [judged(Label.HUMAN, 0.8)])
    await ask_and_print(settings, options(voicemail=0.75), as_json=True)
    assert json.loads(capsys.readouterr().out)["min_confidence"] == {"human": 0.9, "voicemail": 0.75}


async def test_a_period_without_calls_has_a_short_result(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask_and_print(Settings(_env_file=None, database_url=database_url), options(), as_json=False)
    assert capsys.readouterr().out == "0 judged calls, if human needs at least 0.7 and voicemail at least 0.7\n"
