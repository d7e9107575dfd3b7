"""Twilio's webhooks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from amd_service.calls.tables import Callback
from amd_service.database.pool import Database, Timeouts
from amd_service.simulator.twilio.signed_callbacks import sign
from amd_service.telemetry import Metrics
from tests.support.app import PUBLIC_URL, RECORDED, STATUS, TOKEN, App, open_app
from tests.support.inbox import until_folded
from tests.support.locks import holding
from tests.support.sids import ACCOUNT, CALL

pytestmark = pytest.mark.anyio

NOTHING = {"call_log": 0, "callback": 0, "recording": 0}


async def test_a_signed_status_callback_is_stored_and_gets_204_without_a_body(service: App) -> None:
    response = await service.callback("/twilio/status", STATUS)
    assert (response.status_code, response.content) == (204, b"")
    assert await service.rows() == {"call_log": 1, "callback": 1, "recording": 0}


async def test_a_signed_recording_callback_enqueues_the_recording(service: App) -> None:
    assert (await service.callback("/twilio/recording", RECORDED)).status_code == 204
    response = await service.client.get(f"/api/calls/{CALL}")
    assert response.json()["analysis_state"] == "queued"


async def test_a_repeated_callback_gets_204_and_is_stored_once(service: App) -> None:
    for _ in range(3):
        assert (await service.callback("/twilio/status", STATUS)).status_code == 204
    assert await service.rows() == {"call_log": 1, "callback": 1, "recording": 0}
    assert service.counted("amd_callbacks_total", route="status", outcome="duplicate") == 2


async def test_without_a_signature_nothing_is_stored(service: App) -> None:
    response = await service.client.post("/twilio/status", data=dict(STATUS))
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert await service.rows() == NOTHING
    assert service.counted("amd_callbacks_total", route="status", outcome="refused_403") == 1


@pytest.mark.parametrize(
    ("settings", "detail"),
    [
        ({"public_url": None}, "AMD_PUBLIC_URL is not set"),
        ({"twilio_account_sid": None, "twilio_auth_token": []}, "no account is configured: set TWILIO_ACCOUNT_SID"),
        ({}, "invalid Twilio signature"),
    ],
    ids=["no public URL", "no account", "configured"],
)
async def test_the_refusal_names_a_missing_setting_and_no_other_reason(
    database: Database, settings: dict[str, Any], detail: str
) -> None:
    response = await open_app(database, **settings).callback("/twilio/status", STATUS, token="wrong")
    assert (response.status_code, response.json()["detail"].startswith(detail)) == (403, True)


@pytest.mark.parametrize("signature", ["", "wrong", "ÄÖÜ", "=" * 5000])
async def test_a_wrong_signature_gets_403_and_nothing_is_stored(service: App, signature: str) -> None:
    content = urlencode(STATUS)
    headers = {
        b"x-twilio-signature": signature.encode("utf-8"),
        b"content-type": b"application/x-www-form-urlencoded",
    }
    response = await service.client.post("/twilio/status", content=content, headers=list(headers.items()))
    assert response.status_code == 403
    assert await service.rows() == NOTHING


async def test_a_signature_with_a_token_of_another_account_gets_403(service: App) -> None:
    assert (await service.callback("/twilio/status", STATUS, token="b" * 32)).status_code == 403
    assert await service.rows() == NOTHING


async def test_the_host_header_does_not_change_the_signed_url(service: App) -> None:
    evil = await service.client.post(
        "/twilio/status",
        content=urlencode(STATUS),
        headers=sign("https://evil.example/twilio/status", STATUS, TOKEN) | {"host": "evil.example"},
    )
    assert evil.status_code == 403
    assert (await service.callback("/twilio/status", STATUS, host="whatever.example")).status_code == 204


async def test_a_shared_key_signature_is_refused_with_a_clear_log_line(
    service: App, capfd: pytest.CaptureFixture[str]
) -> None:
    response = await service.callback(
        "/twilio/status", STATUS, X_Twilio_Webhooks_Signature_Settings="key=SK1,algorithm=HMAC_SHA256"
    )
    assert response.status_code == 403
    assert await service.rows() == NOTHING
    captured = capfd.readouterr()
    assert "SharedKey" in captured.out + captured.err


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_a_callback_that_is_not_a_form_gets_415(service: App, content_type: str) -> None:
    response = await service.callback("/twilio/status", STATUS, content_type=content_type)
    assert response.status_code == 415
    assert await service.rows() == NOTHING


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_size_limit_gets_413(service: App, announced: bool) -> None:
    body = urlencode([*STATUS, ("Padding", "x" * 70_000)]).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    response = await service.client.post(
        "/twilio/status",
        content=body if announced else chunks(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == 413
    assert await service.rows() == NOTHING


async def test_a_signed_callback_without_a_call_sid_gets_400(service: App) -> None:
    response = await service.callback("/twilio/status", [("AccountSid", ACCOUNT), ("CallStatus", "completed")])
    assert response.status_code == 400
    assert "CallSid" in response.json()["detail"]


async def test_without_a_database_a_callback_gets_503_so_that_twilio_retries(closed_database: Database) -> None:
    service = open_app(closed_database)
    assert (await service.callback("/twilio/status", STATUS)).status_code == 503
    assert service.counted("amd_callbacks_total", route="status", outcome="refused_503") == 1


async def test_without_a_public_url_every_callback_is_refused(database: Database) -> None:
    service = open_app(database, public_url=None)
    assert (await service.callback("/twilio/status", STATUS)).status_code == 403


async def test_the_query_of_the_callback_url_is_signed(service: App) -> None:
    path = "/twilio/status?tenant=7"
    headers = sign(PUBLIC_URL + path, STATUS, TOKEN)
    content = urlencode(STATUS)
    assert (await service.client.post(path, content=content, headers=headers)).status_code == 204
    assert (await service.client.post("/twilio/status", content=content, headers=headers)).status_code == 403


async def test_the_path_prefix_of_a_proxy_is_signed_and_forwarding_headers_are_ignored(
    database: Database,
) -> None:
    service = open_app(database, public_url="https://example.com/amd")
    headers = sign("https://example.com/amd/twilio/status", STATUS, TOKEN)
    forwarded = {"x-forwarded-proto": "http", "x-forwarded-host": "evil.example", "x-forwarded-port": "81"}
    response = await service.client.post("/twilio/status", content=urlencode(STATUS), headers=headers | forwarded)
    assert response.status_code == 204
    unprefixed = sign("https://example.com/twilio/status", STATUS, TOKEN)
    assert (
        await service.client.post("/twilio/status", content=urlencode(STATUS), headers=unprefixed)
    ).status_code == 403


async def test_a_callback_path_with_a_trailing_slash_gets_404(service: App) -> None:
    assert (await service.callback("/twilio/status/", STATUS)).status_code == 404
    assert await service.rows() == NOTHING


async def test_a_replayed_callback_is_a_duplicate_and_does_not_reopen_the_call(service: App) -> None:
    ringing = [*STATUS[:2], ("CallStatus", "ringing"), ("SequenceNumber", "1")]
    captured = {path: sign(PUBLIC_URL + path, ringing, TOKEN) for path in ("/twilio/status", "/twilio/recording")}
    content = urlencode(ringing)
    await service.client.post("/twilio/status", content=content, headers=captured["/twilio/status"])
    await service.callback("/twilio/status", STATUS)
    before = (await service.client.get(f"/api/calls/{CALL}")).json()
    for headers in (captured["/twilio/status"], captured["/twilio/status"] | {"i-twilio-idempotency-token": "new"}):
        assert (await service.client.post("/twilio/status", content=content, headers=headers)).status_code == 204
    assert (await service.client.get(f"/api/calls/{CALL}")).json() == before
    assert before["call_status"] == "completed"
    assert (await service.rows())["callback"] == 2
    elsewhere = await service.client.post("/twilio/recording", content=content, headers=captured["/twilio/status"])
    assert elsewhere.status_code == 403


async def test_each_account_signs_with_its_tokens_of_all_regions(database: Database, tmp_path: Path) -> None:
    subaccount = "AC" + "5" * 32
    (tmp_path / "accounts.toml").write_text(
        f'[[account]]\naccount_sid = "{ACCOUNT}"\nauth_tokens = ["us1", "us1-before", "ie1"]\n'
        f'[[account]]\naccount_sid = "{subaccount}"\nauth_tokens = ["sub"]\n'
    )
    service = open_app(
        database, accounts_file=tmp_path / "accounts.toml", twilio_account_sid=None, twilio_auth_token=[]
    )
    of_the_subaccount = [("AccountSid", subaccount), *STATUS[1:]]
    for token in ("us1", "us1-before", "ie1"):
        assert (await service.callback("/twilio/status", STATUS, token=token)).status_code == 204
    assert (await service.callback("/twilio/status", STATUS, token="sub")).status_code == 403
    assert (await service.callback("/twilio/status", of_the_subaccount, token="sub")).status_code == 204
    assert (await service.callback("/twilio/status", of_the_subaccount, token="us1")).status_code == 403


@pytest.mark.parametrize("value", ["+1 500", "%2B1", "a&b=c", "", " ", "café \U0001f4de", "a\r\nb"])
async def test_special_characters_are_stored_as_sent(service: App, value: str) -> None:
    pairs = [*STATUS, ("Digits", value), ("Digits", value), ("Digits", "1")]
    assert (await service.callback("/twilio/status", pairs)).status_code == 204
    async with service.runtime.database.transaction() as session:
        kept = (await session.scalars(select(Callback.parameters))).one()
    assert kept == [list(pair) for pair in pairs]


async def test_a_get_of_a_callback_path_gets_405(service: App) -> None:
    assert (await service.client.get("/twilio/status")).status_code == 405


async def test_a_callback_that_meets_a_lock_on_callbacks_gets_503_and_twilios_retry_stores_it(
    database: Database,
) -> None:
    metrics = Metrics()
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2), metrics=metrics)
    service = open_app(impatient)
    async with holding(database.url, "lock table callback in share mode"):
        response = await service.callback("/twilio/status", STATUS)
    assert (response.status_code, "lock" in response.json()["detail"]) == (503, True)
    assert metrics.registry.get_sample_value("amd_lock_timeouts_total") == 1
    assert (await service.callback("/twilio/status", STATUS)).status_code == 204
    assert (await service.client.get(f"/api/calls/{CALL}")).json()["call_status"] == "completed"
    await service.client.aclose()
    await impatient.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        f"select 1 from call_log where call_sid = '{CALL}' for update",
        f"update call_log set call_status = 'busy' where call_sid = '{CALL}'",
        "lock table call_log in share mode",
        "lock table call_log, recording in access exclusive mode",
    ],
)
async def test_a_callback_that_meets_a_lock_on_its_call_is_stored_and_folded_later(
    database: Database, statement: str
) -> None:
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2))
    service = open_app(impatient)
    ringing = [*STATUS[:2], ("CallStatus", "ringing"), ("SequenceNumber", "1")]
    assert (await service.callback("/twilio/status", ringing)).status_code == 204
    service.client.event_hooks = {"response": []}  # the callback cannot be folded before the response is read
    async with holding(database.url, statement):
        assert (await service.callback("/twilio/status", STATUS)).status_code == 204
    await until_folded(database)
    assert (await service.client.get(f"/api/calls/{CALL}")).json()["call_status"] == "completed"
    await service.client.aclose()
    await impatient.dispose()
