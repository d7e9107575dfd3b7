"""The doctor's checks of Twilio's API and of the credentials."""

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import pytest

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from tests.support.simulated_twilio import watched_simulated_twilio

pytestmark = pytest.mark.anyio

AC, TOKEN, SK = "AC" + "a" * 32, "0" * 32, "SK" + "b" * 32
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN], "api_key": SK, "api_secret": "shh"})
WITH_KEY = {"TWILIO_ACCOUNT_SID": AC, "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_API_KEY": SK, "TWILIO_API_SECRET": "shh"}


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with watched_simulated_twilio(ACCOUNT) as running:
        yield running


async def result_of(check: str, **settings: Any) -> CheckResult:
    async with aclosing(run_checks(Settings(_env_file=None, **settings))) as results:  # type: ignore[type-var]
        return await anext(result async for result in results if result.check.startswith(check))


async def credentials(url: str, **settings: Any) -> tuple[Health, str]:
    result = await result_of("credentials of", twilio_api_url=url, **WITH_KEY | settings)
    return result.health, result.text


async def test_accepted_credentials_are_ok_and_the_text_names_the_tried_credential(
    simulated_twilio: SimulatedTwilio,
) -> None:
    health, text = await credentials(simulated_twilio.url)
    assert (health, text) == (
        Health.OK,
        "1 token(s), API key SKbbbb…; Twilio accepts the key; the first callback will test the token",
    )
    (asked,) = simulated_twilio.rest.requests
    assert (asked.method, asked.query) == ("GET", [("PageSize", "1")])


async def test_refused_credentials_fail(simulated_twilio: SimulatedTwilio) -> None:
    health, text = await credentials(simulated_twilio.url, TWILIO_API_SECRET="wrong")
    assert (health, "refused (401)" in text, "check TWILIO_API_KEY" in text) == (Health.FAIL, True, True)


async def test_without_an_api_key_the_token_is_tried() -> None:
    token_alone = Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN]})
    async with watched_simulated_twilio(token_alone) as running:
        result = await result_of(
            "credentials of", twilio_api_url=running.url, TWILIO_ACCOUNT_SID=AC, TWILIO_AUTH_TOKEN=TOKEN
        )
    assert result.health is Health.WARN
    assert result.text.endswith("revoked separately; Twilio accepts the token")


async def test_an_unreachable_twilio_is_a_warning_that_credentials_were_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    health, text = await credentials(f"http://127.0.0.1:{port}")
    assert (health, "SKbbbb…; not tried: " in text and " cannot be reached" in text) == (Health.WARN, True)


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedResponse(429),
        ScriptedResponse(503),
        ScriptedResponse(200, silent=True),
        ScriptedResponse(200, b"<html>"),
        ScriptedResponse(200, b'{"ok": true}'),
    ],
)
async def test_a_busy_or_silent_twilio_does_not_delay_the_report(
    simulated_twilio: SimulatedTwilio, answer: ScriptedResponse
) -> None:
    simulated_twilio.rest.scripted = [answer]
    began = perf_counter()
    health, text = await credentials(simulated_twilio.url, twilio_timeout_s=0.3)
    assert (health, "; not tried: " in text) == (Health.WARN, True)
    assert perf_counter() - began < 9


@pytest.mark.parametrize(
    ("given", "health", "said"),
    [
        ({}, Health.OK, "api.twilio.com"),
        ({"TWILIO_REGION": "ie1", "TWILIO_EDGE": "dublin"}, Health.OK, "api.dublin.ie1.twilio.com"),
        ({"twilio_api_url": "https://api.dublin.ie1.twilio.com"}, Health.OK, "api.dublin.ie1.twilio.com"),
        ({"twilio_api_url": "http://127.0.0.1:8099"}, Health.WARN, "Unset AMD_TWILIO_API_URL"),
        ({"twilio_api_url": "https://nottwilio.com"}, Health.WARN, "Unset AMD_TWILIO_API_URL"),
        ({"twilio_api_url": "https://api.ie1.twilio.com"}, Health.WARN, "set TWILIO_REGION and TWILIO_EDGE"),
    ],
)
async def test_an_api_origin_that_is_not_twilios_is_a_warning(given: dict[str, str], health: Health, said: str) -> None:
    result = await result_of("Twilio's API", **given)
    assert (result.health, said in result.text) == (health, True)


@pytest.mark.parametrize(("name", "value"), [("SSL_CERT_FILE", "/nowhere"), ("HTTPS_PROXY", "nonsense://127.0.0.1")])
async def test_a_broken_proxy_or_certificate_fails_one_check_and_the_other_checks_run(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    result = await result_of("credentials", **WITH_KEY)
    assert (result.health, name in result.text) == (Health.FAIL, True)
    assert (await result_of("access", **WITH_KEY)).health is Health.OK
