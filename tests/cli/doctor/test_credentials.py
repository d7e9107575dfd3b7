"""What the doctor says of where Twilio's API is, and of the credentials it tries there."""

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import pytest

from amd_service.cli.doctor import Finding, Health, examine
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


async def finding(check: str, **settings: Any) -> Finding:
    async with aclosing(examine(Settings(_env_file=None, **settings))) as findings:  # type: ignore[type-var]
        return await anext(found async for found in findings if found.check.startswith(check))


async def credentials(url: str, **settings: Any) -> tuple[Health, str]:
    found = await finding("credentials of", twilio_api_url=url, **WITH_KEY | settings)
    return found.health, found.text


async def test_credentials_that_twilio_takes_are_well_and_the_one_tried_is_named(
    simulated_twilio: SimulatedTwilio,
) -> None:
    health, text = await credentials(simulated_twilio.url)
    assert (health, text) == (
        Health.OK,
        "1 token(s), API key SKbbbb…; the key is accepted by Twilio, callbacks will try the token",
    )
    (asked,) = simulated_twilio.rest.requests
    assert (asked.method, asked.query) == ("GET", [("PageSize", "1")])


async def test_credentials_that_twilio_refuses_are_a_failure(simulated_twilio: SimulatedTwilio) -> None:
    health, text = await credentials(simulated_twilio.url, TWILIO_API_SECRET="wrong")
    assert (health, "refused (401)" in text, "check TWILIO_API_KEY" in text) == (Health.FAIL, True, True)


async def test_a_token_alone_is_tried_as_well() -> None:
    token_alone = Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN]})
    async with watched_simulated_twilio(token_alone) as running:
        found = await finding(
            "credentials of", twilio_api_url=running.url, TWILIO_ACCOUNT_SID=AC, TWILIO_AUTH_TOKEN=TOKEN
        )
    assert found.health is Health.WARN
    assert found.text.endswith("revoked alone; the token is accepted by Twilio")


async def test_where_twilio_cannot_be_reached_a_warning_says_what_was_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    health, text = await credentials(f"http://127.0.0.1:{port}")
    assert (health, "SKbbbb…; not tried: 127.0.0.1 cannot be reached" in text) == (Health.WARN, True)


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
async def test_a_twilio_that_is_busy_or_silent_is_not_waited_for(
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
async def test_an_api_that_real_calls_do_not_have_is_warned_of(
    given: dict[str, str], health: Health, said: str
) -> None:
    found = await finding("Twilio's API", **given)
    assert (found.health, said in found.text) == (health, True)


@pytest.mark.parametrize(("name", "value"), [("SSL_CERT_FILE", "/nowhere"), ("HTTPS_PROXY", "nonsense://127.0.0.1")])
async def test_an_environment_in_which_nothing_can_be_asked_does_not_end_the_report(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    found = await finding("credentials", **WITH_KEY)
    assert (found.health, name in found.text) == (Health.FAIL, True)
    assert (await finding("API keys", **WITH_KEY)).health is Health.OK
