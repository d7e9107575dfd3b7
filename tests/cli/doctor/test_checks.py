"""The doctor's checks of the settings, and how it prints results."""

from typing import Any

import pytest
from starlette.datastructures import Headers

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.cli.doctor.output import print_result
from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Label, Role
from amd_service.operations import credentials
from amd_service.runtime import Runtime
from amd_service.settings import RETRY_OVERRIDES, Settings
from amd_service.web.authentication import Authentication
from amd_service.web.problems import Problem
from tests.support.app import open_app
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.postgres import with_database
from tests.support.sids import SECOND_RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def result_of(check: str, **settings: Any) -> CheckResult:
    """Return the result of `check`. The checks after it do not run: the slow checks, database and model, are last."""
    results = run_checks(Settings(_env_file=None, **settings))
    return await anext(result async for result in results if result.check == check)


async def test_live_actions_and_retention_are_ok_when_off() -> None:
    for check in ("live", "actions", "retention"):
        assert (await result_of(check)).health is Health.OK


@pytest.mark.parametrize(
    ("shadow", "health", "said"),
    [(None, Health.OK, "not set"), ("demo", Health.OK, "judges 50%"), ("/nowhere", Health.WARN, "skip its runs")],
)
async def test_a_shadow_model_that_cannot_be_used_is_a_warning(shadow: str | None, health: Health, said: str) -> None:
    result = await result_of("shadow model", shadow_model=shadow, shadow_share=0.5)
    assert (result.health, said in result.text) == (health, True)


@pytest.mark.parametrize(
    ("public_url", "health", "said"),
    [
        (None, Health.FAIL, "set AMD_PUBLIC_URL"),
        ("http://127.0.0.1:8080", Health.WARN, "loopback"),
        ("https://amd_service.example.com", Health.FAIL, "underscore"),
        ("http://amd.example.com", Health.WARN, "not https"),
        ("https://amd.example.com/twilio/status", Health.WARN, "set AMD_PUBLIC_URL=https://amd.example.com"),
        ("https://amd.example.com/my/twilio/amd", Health.WARN, "set AMD_PUBLIC_URL=https://amd.example.com/my"),
        ("https://amd.example.com/twilio/prod", Health.OK, "https://amd.example.com/twilio/prod/twilio/status#"),
        ("https://amd.example.com/my_calls", Health.OK, "https://amd.example.com/my_calls/twilio/status#"),
    ],
)
async def test_a_public_url_that_twilio_cannot_use_is_not_ok(public_url: str | None, health: Health, said: str) -> None:
    result = await result_of("public URL", public_url=public_url)
    assert (result.health, said in result.text) == (health, True)


@pytest.mark.parametrize("public_url", [None, "http://localhost:8080", "https://amd.example.com"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("api_keys", ["", "k" * 16])
async def test_the_check_of_access_agrees_with_the_access_rules(
    database: Database, public_url: str | None, host: str, api_keys: str
) -> None:
    result = await result_of("access", public_url=public_url, host=host, api_keys=api_keys)
    headers = {"host": "localhost"} | ({"authorization": f"Bearer {api_keys}"} if api_keys else {})
    app = open_app(database, public_url=public_url, host=host, api_keys=api_keys)
    refusal = await _refusal(app.runtime, Headers(headers))
    assert (result.health is Health.OK) == (refusal is None)
    assert ("403" in result.text) == (refusal is not None)


async def _refusal(runtime: Runtime, headers: Headers) -> Problem | None:
    try:
        await Authentication(runtime).find(headers, "127.0.0.1")
    except Problem as problem:
        return problem
    return None


async def test_people_and_keys_in_the_database_are_counted(database: Database) -> None:
    public: dict[str, Any] = {"public_url": "https://amd.example.com", "api_keys": [], "database_url": database.url}
    assert (await result_of("access", **public)).health is Health.FAIL
    await credentials.add_person(database, "ann", Role.ADMIN, None)
    await credentials.add_api_key(database, "dashboard", [AccessScope.READ])
    result = await result_of("access", **public)
    expected = "0 key(s) in AMD_API_KEYS, 1 in the database, and 1 people"
    assert (result.health, result.text) == (Health.OK, expected)
    await credentials.disable_person(database, "ann")
    await credentials.revoke_api_key(database, "dashboard")
    assert "all people are disabled and all keys are revoked" in (await result_of("access", **public)).text


async def test_a_short_api_key_is_a_warning_that_does_not_print_it() -> None:
    result = await result_of("access", api_keys=f"sesame,{'k' * 16}")
    assert (result.health, result.text.startswith("1 of 2 ")) == (Health.WARN, True)
    assert "openssl rand -hex 24" in result.text
    assert "sesame" not in result.text


async def test_actions_with_live_are_listed_without_their_urls() -> None:
    url = f"https://example.org/agent?key=secret{RETRY_OVERRIDES}"
    result = await result_of("actions", live=True, on_voicemail="hang_up", on_human=url)
    assert (result.health, result.text) == (Health.OK, "human: redirect, voicemail: hang_up")


async def test_urls_without_retry_overrides_are_noted_by_their_settings() -> None:
    public, url = "https://amd.example.com", "https://example.org/agent?key=secret"
    acting = await result_of("actions", live=True, on_voicemail=url, on_human=f"{url}#rc=2")
    assert acting.health is Health.OK
    assert f"; AMD_ON_VOICEMAIL: without {RETRY_OVERRIDES}" in acting.text
    assert "secret" not in acting.text
    listening = await result_of("live", live=True, public_url=public, live_next_url=f"{url}#top")
    assert f"; AMD_LIVE_NEXT_URL: without {RETRY_OVERRIDES}" in listening.text
    assert "NEXT_URL" not in (await result_of("live", live=True, public_url=public)).text


async def test_a_redirect_that_is_not_https_is_a_warning_that_names_the_setting() -> None:
    result = await result_of("actions", live=True, on_human="http://example.org/agent")
    assert result.health is Health.WARN
    assert "AMD_ON_HUMAN is not https" in result.text


@pytest.mark.parametrize(("url", "health"), [("https://a.example", Health.OK), ("http://127.0.0.1", Health.WARN)])
async def test_streams_need_https(url: str, health: Health) -> None:
    result = await result_of("live", live=True, public_url=url)
    assert result.health is health
    assert ("/twilio/stream.xml" if health is Health.OK else "wss") in result.text


async def test_live_without_a_public_url_fails() -> None:
    result = await result_of("live", live=True)
    assert (result.health, "AMD_PUBLIC_URL" in result.text) == (Health.FAIL, True)


async def test_a_live_next_url_that_is_not_https_is_a_warning() -> None:
    result = await result_of("live", live=True, public_url="https://a.example", live_next_url="http://a.example/next")
    assert (result.health, "AMD_LIVE_NEXT_URL is not https" in result.text) == (Health.WARN, True)


async def test_one_day_is_written_in_the_singular() -> None:
    assert "after 1 day;" in (await result_of("retention", callback_days=1)).text


async def test_lines_are_not_wrapped_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = "install .[embedded], then give Twilio https://amd.example.com/twilio/status and " + "more " * 30
    print_result(CheckResult("public URL", Health.OK, text), as_json=False)
    assert capsys.readouterr().out == f"  ok  public URL  {text}\n"


async def test_switched_off_reconciliation_is_a_warning() -> None:
    assert (await result_of("lost callbacks")).health is Health.OK
    result = await result_of("lost callbacks", reconcile_every_s=0)
    assert (result.health, "stays `waiting`" in result.text) == (Health.WARN, True)


async def test_retention_lists_what_is_deleted() -> None:
    result = await result_of(
        "retention", delete_recordings=True, callback_days=30, phone_numbers="hash", phone_number_key="k" * 16
    )
    assert result.text == (
        "recordings at Twilio: deleted after the verdict, including recordings that already have a verdict; "
        "callbacks: parameters deleted after 30 days; phone numbers: hash"
    )


async def test_the_number_of_recordings_to_delete_is_reported(database: Database, database_url: str) -> None:
    await deliver(database, recording("completed"), recording("completed", SECOND_RECORDING))
    (job, *_) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    result = await result_of("deleting", database_url=database_url, delete_recordings=True)
    assert (result.health, result.text) == (
        Health.OK,
        "up to 1 recordings at Twilio have a verdict and will be deleted",
    )


async def test_the_database_check_names_ignored_parameters_of_the_url(database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    result = await result_of("database", database_url=f"{database_url}{separator}channel_binding=prefer&supa=x")
    assert result.health is Health.OK
    assert "no effect: channel_binding, supa" in result.text


async def test_the_database_check_names_a_mistake_in_the_url(server_url: str) -> None:
    result = await result_of("database", database_url=with_database(server_url, "not_there"))
    assert (result.health, result.text.startswith("the database does not exist")) == (Health.FAIL, True)
    result = await result_of("database", database_url="postgresql://u@h/n?foo=1")
    assert (result.health, "parameter foo" in result.text) == (Health.FAIL, True)


async def test_a_listen_url_of_another_database_or_with_a_mistake_fails(database_url: str, server_url: str) -> None:
    for listen_url, health, said in (
        (database_url, Health.OK, "AMD_DATABASE_LISTEN_URL leads to Postgres itself"),
        (server_url, Health.FAIL, "AMD_DATABASE_LISTEN_URL leads to the database"),
        (with_database(server_url, "not_there"), Health.FAIL, "correct AMD_DATABASE_LISTEN_URL"),
    ):
        result = await result_of("notifications", database_url=database_url, database_listen_url=listen_url)
        assert (result.health, said in result.text) == (health, True)


async def test_the_schema_check_names_a_missing_privilege(database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    read_only = f"{database_url}{separator}options=-c%20default_transaction_read_only%3Don"
    result = await result_of("schema", database_url=read_only)
    assert (result.health, "every transaction is read-only" in result.text) == (Health.FAIL, True)
    assert (await result_of("schema", database_url=database_url)).health is Health.OK


@pytest.mark.parametrize(
    ("url", "health", "said"),
    [
        ("", Health.OK, "off: AMD_DELIVERY_URL is empty"),
        ("http://127.0.0.1:9000/amd", Health.FAIL, "127.0.0.1 is not a public address"),
        ("https://localhost/amd", Health.FAIL, "add its network to AMD_DELIVERY_NETWORKS"),
        ("http://93.184.215.14/amd", Health.WARN, "events to 93.184.215.14 are not encrypted: use https"),
        ("https://93.184.215.14/amd?key=secret", Health.OK, "events go to 93.184.215.14"),
    ],
)
async def test_a_backend_at_a_private_address_fails(url: str, health: Health, said: str) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if url else ""
    result = await result_of("deliveries", delivery_url=url, delivery_secret=secret)
    assert (result.health, said in result.text, "secret" in result.text) == (health, True, False)
