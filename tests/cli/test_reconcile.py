"""`amd-service reconcile`: its output and its failures."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from amd_service.cli.reconcile_accounts import reconcile_and_print
from amd_service.cli.times import parse_duration
from amd_service.database.pool import Database
from amd_service.errors import ConfigurationError
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall
from tests.support.deliveries import deliver, status
from tests.support.sids import ACCOUNT
from tests.support.simulated_twilio import watched_simulated_twilio

pytestmark = pytest.mark.anyio


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(
        Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    ) as running:
        yield running


def settings(database: Database, simulated_twilio: SimulatedTwilio, **given: Any) -> Settings:
    known = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "token", "reconcile_per_s": 1000}
    return Settings(
        _env_file=None, **{"database_url": database.url, "twilio_api_url": simulated_twilio.url, **known, **given}
    )


async def test_the_report_is_one_line_per_account(
    database: Database, simulated_twilio: SimulatedTwilio, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated_twilio.rest.add(SimulatedCall(account_sid=ACCOUNT)).end("busy")
    assert await reconcile_and_print(settings(database, simulated_twilio), "90m", as_json=False)
    assert await reconcile_and_print(settings(database, simulated_twilio), "90m", as_json=True)
    lines = capsys.readouterr().out.splitlines()  # the output contains log lines too, which a command writes to stderr
    assert f"{ACCOUNT}: 1 calls checked, 1 new, 0 new recordings, 1 rows changed" in lines
    none = dict.fromkeys(("calls_failed", "calls_unknown", "calls_new", "recordings_new", "calls_changed"), 0)
    assert json.loads(lines[-1]) == {"account_sid": ACCOUNT, "calls_asked": 1, **none, "error": None}


async def test_a_failed_request_for_a_call_is_counted_and_the_command_fails(
    database: Database, simulated_twilio: SimulatedTwilio, capsys: pytest.CaptureFixture[str]
) -> None:
    await deliver(database, status("ringing"))
    list_calls, list_recordings = ScriptedResponse(200, b'{"calls": []}'), ScriptedResponse(200, b'{"recordings": []}')
    simulated_twilio.rest.scripted = [list_calls, list_recordings, ScriptedResponse(500)]
    asked = settings(database, simulated_twilio, reconcile_after_s=0)
    assert not await reconcile_and_print(asked, "90m", as_json=False)
    assert "0 rows changed, 1 FAILED: run the command again\n" in capsys.readouterr().out


async def test_a_call_unknown_to_twilio_is_counted_with_its_cure(
    database: Database, simulated_twilio: SimulatedTwilio, capsys: pytest.CaptureFixture[str]
) -> None:
    await deliver(database, status("ringing"))
    assert await reconcile_and_print(settings(database, simulated_twilio), "90m", as_json=False)
    said = "0 rows changed, 1 UNKNOWN TO TWILIO: check TWILIO_REGION and the account\n"
    assert said in capsys.readouterr().out


async def test_the_command_retries_after_a_429(
    database: Database, simulated_twilio: SimulatedTwilio, capsys: pytest.CaptureFixture[str]
) -> None:
    async def sleep(_seconds: float) -> None:
        pass

    simulated_twilio.rest.add(SimulatedCall(account_sid=ACCOUNT)).end("busy")
    simulated_twilio.rest.scripted = [ScriptedResponse(429)]
    assert await reconcile_and_print(settings(database, simulated_twilio), "90m", as_json=False, sleep=sleep)
    said = capsys.readouterr().out
    assert "1 calls checked, 1 new" in said
    assert "Twilio rate limit" in said


async def test_refused_credentials_abort_the_account_with_their_cure(
    database: Database, simulated_twilio: SimulatedTwilio, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated_twilio.rest.scripted = [ScriptedResponse(401, b'{"code": 20003, "message": "Authenticate"}')]
    assert not await reconcile_and_print(settings(database, simulated_twilio), "24h", as_json=False)
    said = "ABORTED: Twilio refused (401): Authenticate (Twilio's error 20003); check TWILIO_API_KEY"
    assert said in capsys.readouterr().out


async def test_without_an_account_the_error_names_the_settings(
    database: Database, simulated_twilio: SimulatedTwilio
) -> None:
    without_account = settings(database, simulated_twilio, TWILIO_ACCOUNT_SID=None, TWILIO_AUTH_TOKEN="")
    with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
        await reconcile_and_print(without_account, "24h", as_json=False)


@pytest.mark.parametrize(("given", "hours"), [("90m", 1.5), ("24h", 24), ("7d", 168)])
def test_since_takes_minutes_hours_or_days(given: str, hours: float) -> None:
    assert parse_duration(given) == timedelta(hours=hours)


@pytest.mark.parametrize("given", ["", "h", "24", "1w", "-1h", "1.5h", "24 h", "0h", "999999d"])
def test_any_other_since_is_an_error_with_an_example(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"1 to 9999 .*24h"):
        parse_duration(given)
