"""What the doctor says of listening live, of acting, and of forgetting."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.datastructures import Headers

from amd_service.cli.doctor import Finding, Health, examine, report
from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.settings import RETRY_OVERRIDES, Settings
from amd_service.web.access import access_problem
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.sids import SECOND_RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def finding(check: str, **settings: Any) -> Finding:
    """What is found of `check`. The slow checks, database and model, come later and are left alone."""
    findings = examine(Settings(_env_file=None, **settings))
    return await anext(found async for found in findings if found.check == check)


async def test_without_any_of_them_all_is_well() -> None:
    for check in ("live", "actions", "retention"):
        assert (await finding(check)).health is Health.OK


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
async def test_a_public_url_that_twilio_cannot_use_is_not_well(
    public_url: str | None, health: Health, said: str
) -> None:
    found = await finding("public URL", public_url=public_url)
    assert (found.health, said in found.text) == (health, True)


@pytest.mark.parametrize("public_url", [None, "http://localhost:8080", "https://amd.example.com"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("api_keys", ["", "k" * 16])
async def test_what_is_said_of_api_keys_is_what_the_door_does(public_url: str | None, host: str, api_keys: str) -> None:
    found = await finding("API keys", public_url=public_url, host=host, api_keys=api_keys)
    settings = Settings(_env_file=None, public_url=public_url, host=host, api_keys=api_keys)
    refusal = access_problem(Headers({"host": "localhost", "authorization": f"Bearer {api_keys}"}), settings)
    assert (found.health is Health.OK) == (refusal is None)
    assert ("403" in found.text) == (refusal is not None)


async def test_an_api_key_that_can_be_guessed_is_warned_of_without_being_shown() -> None:
    found = await finding("API keys", api_keys=f"sesame,{'k' * 16}")
    assert (found.health, found.text.startswith("1 of 2 ")) == (Health.WARN, True)
    assert "openssl rand -hex 24" in found.text
    assert "sesame" not in found.text


async def test_acting_without_live_is_a_warning_that_names_the_cure() -> None:
    found = await finding("actions", on_voicemail="hang_up")
    assert found.health is Health.WARN
    assert "AMD_LIVE=true" in found.text


async def test_acting_live_says_what_will_be_done() -> None:
    url = f"https://example.org/agent?key=secret{RETRY_OVERRIDES}"
    found = await finding("actions", live=True, on_voicemail="hang_up", on_human=url)
    assert (found.health, found.text) == (Health.OK, "human: redirect, voicemail: hang_up")


async def test_urls_that_twilio_tries_once_are_noted_by_their_settings() -> None:
    public, url = "https://amd.example.com", "https://example.org/agent?key=secret"
    acting = await finding("actions", live=True, on_voicemail=url, on_human=f"{url}#rc=2")
    assert acting.health is Health.OK
    assert f"; AMD_ON_VOICEMAIL: without {RETRY_OVERRIDES}" in acting.text
    assert "secret" not in acting.text
    listening = await finding("live", live=True, public_url=public, live_next_url=f"{url}#top")
    assert f"; AMD_LIVE_NEXT_URL: without {RETRY_OVERRIDES}" in listening.text
    assert "NEXT_URL" not in (await finding("live", live=True, public_url=public)).text


async def test_a_redirect_that_is_not_https_is_a_warning_by_its_setting() -> None:
    found = await finding("actions", live=True, on_human="http://example.org/agent")
    assert found.health is Health.WARN
    assert "AMD_ON_HUMAN is not https" in found.text


@pytest.mark.parametrize(("url", "health"), [("https://a.example", Health.OK), ("http://127.0.0.1", Health.WARN)])
async def test_streams_need_https(url: str, health: Health) -> None:
    found = await finding("live", live=True, public_url=url)
    assert found.health is health
    assert ("/twilio/stream.xml" if health is Health.OK else "wss") in found.text


async def test_live_without_a_public_url_cannot_be_well() -> None:
    found = await finding("live", live=True)
    assert (found.health, "AMD_PUBLIC_URL" in found.text) == (Health.FAIL, True)


async def test_twiml_that_goes_on_over_plain_http_is_a_warning() -> None:
    found = await finding("live", live=True, public_url="https://a.example", live_next_url="http://a.example/next")
    assert (found.health, "AMD_LIVE_NEXT_URL is not https" in found.text) == (Health.WARN, True)


async def test_one_day_is_one_day() -> None:
    assert "after 1 day;" in (await finding("retention", callback_days=1)).text


async def test_lines_are_left_whole_where_no_terminal_wraps_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "install .[embedded], then give Twilio https://amd.example.com/twilio/status and " + "more " * 30

    async def one(_: Settings) -> AsyncIterator[Finding]:
        yield Finding("public URL", Health.OK, text)

    monkeypatch.setattr(report, "examine", one)
    assert await report.print_findings(Settings(_env_file=None), as_json=False)
    assert capsys.readouterr().out == f"  ok  public URL  {text}\n"


async def test_never_asking_for_lost_callbacks_is_a_warning_that_names_who_waits() -> None:
    assert (await finding("lost callbacks")).health is Health.OK
    found = await finding("lost callbacks", reconcile_every_s=0)
    assert (found.health, "waits for ever" in found.text) == (Health.WARN, True)


async def test_what_is_forgotten_is_said() -> None:
    found = await finding(
        "retention", delete_recordings=True, callback_days=30, phone_numbers="hash", phone_number_key="k" * 16
    )
    assert found.text == (
        "recordings at Twilio: deleted after the verdict, those judged before this was set as well; "
        "callbacks: without their parameters after 30 days; phone numbers: hash"
    )


async def test_how_many_recordings_will_be_deleted_is_said(database: Database, database_url: str) -> None:
    await deliver(database, recording("completed"), recording("completed", SECOND_RECORDING))
    (job, *_) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    found = await finding("deleting", database_url=database_url, delete_recordings=True)
    assert (found.health, found.text) == (Health.OK, "copies at Twilio of up to 1 recordings, which have their verdict")
