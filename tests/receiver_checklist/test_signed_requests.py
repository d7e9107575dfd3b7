"""Only requests that Twilio signed are accepted."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from amd_service.database.pool import Database
from amd_service.settings import RETRY_OVERRIDES
from amd_service.simulator.twilio.signed_callbacks import sign
from tests.support.app import PUBLIC_URL, STATUS, TOKEN, open_app
from tests.support.receiver import Receiver
from tests.support.sids import ACCOUNT

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_the_raw_body_is_read_first_and_bounded_and_a_bad_signature_is_a_403(receiver: Receiver) -> None:
    async def post(path: str, **request: Any) -> int:
        return (await receiver.service.client.post(path, **request)).status_code

    body = urlencode(STATUS).encode()
    for signature in (None, b"", b"\xff\xfe", "ÄÖÜ".encode(), b"wrong", b"A" * 28):
        headers = [(b"content-type", FORM["content-type"].encode())]
        headers += [] if signature is None else [(b"x-twilio-signature", signature)]
        assert await post("/twilio/status", content=body, headers=headers) == 403
    signed = sign(PUBLIC_URL + "/twilio/status", STATUS, TOKEN)
    as_json = signed | {"Content-Type": "application/json"}
    assert await post("/twilio/status", content=body, headers=as_json) == 415
    # A body that is too large is refused before its signature is checked. A body with too many fields is refused even
    # with a matching signature.
    assert await post("/twilio/status", content=b"a=" + b"x" * 70_000, headers=FORM) == 413
    many = body + b"&a=1" * 1001
    assert await post("/twilio/status", content=many, headers=_signed_as_decoded(many)) == 403
    assert await receiver.service.rows() == {"call_log": 0, "callback": 0, "recording": 0}
    # The service joins all chunks of the body before it decodes them, so a chunk may end inside a character.
    umlaut = body + b"&a=%C3%BC+%2B\xc3\xbc"
    pieces = (umlaut[start : start + 1] for start in range(len(umlaut)))
    assert await post("/twilio/status", content=_trickle(pieces), headers=_signed_as_decoded(umlaut)) == 204


async def test_the_signed_url_is_rebuilt_from_configuration_alone(database: Database) -> None:
    service = open_app(database, public_url="https://example.com:8443/amd")
    # Twilio may sign the URL with or without the port. It never signs the fragment of the callback URL.
    for base in ("https://example.com:8443/amd", "https://example.com/amd"):
        signed = sign(f"{base}/twilio/status?x=%2B&y=a+b{RETRY_OVERRIDES}", STATUS, TOKEN)
        lies = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}
        answer = await service.client.post(
            "/twilio/status?x=%2B&y=a+b", content=urlencode(STATUS), headers=signed | lies
        )
        assert answer.status_code == 204
    for other in ("https://example.com/twilio/status", "https://127.0.0.1:8080/amd/twilio/status"):
        signed = sign(other, STATUS, TOKEN)
        assert (
            await service.client.post("/twilio/status", content=urlencode(STATUS), headers=signed)
        ).status_code == 403


async def test_every_value_of_a_parameter_is_signed_blanks_included(receiver: Receiver) -> None:
    pairs = [*STATUS, ("Digits", "1"), ("Digits", "1"), ("Digits", " 2 "), ("Empty", "")]
    service = receiver.service
    assert (await service.callback("/twilio/status", pairs)).status_code == 204
    signed = sign(PUBLIC_URL + "/twilio/status", pairs, TOKEN)
    for tampered in (pairs[:-1], [*pairs, ("Empty", "1")], [(name, value.strip()) for name, value in pairs]):
        answer = await service.client.post("/twilio/status", content=urlencode(tampered), headers=signed)
        assert answer.status_code == 403
    # The signature of a JSON request covers only the URL, so it must not be valid for a form.
    path = "/twilio/status?bodySHA256=" + "0" * 64
    over_json = sign(PUBLIC_URL + path, [], TOKEN)
    assert (await service.client.post(path, content=urlencode(STATUS), headers=over_json)).status_code == 403


async def test_the_auth_token_is_chosen_by_account_and_several_may_be_valid(
    database: Database, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    subaccount = "AC" + "5" * 32
    (tmp_path / "accounts.toml").write_text(
        f'[[account]]\naccount_sid = "{ACCOUNT}"\nauth_tokens = ["current", "next", "ie1"]\n'
        f'[[account]]\naccount_sid = "{subaccount}"\nauth_tokens = ["its-own"]\n'
    )
    service = open_app(
        database, accounts_file=tmp_path / "accounts.toml", twilio_account_sid=None, twilio_auth_token=[]
    )
    expected = {
        (ACCOUNT, "current"): 204,
        (ACCOUNT, "next"): 204,
        (ACCOUNT, "ie1"): 204,
        (ACCOUNT, "its-own"): 403,
        (subaccount, "its-own"): 204,
        (subaccount, "current"): 403,
        ("AC" + "6" * 32, "current"): 403,
        ("AC'; drop table", "current"): 403,
        ("", "current"): 403,
    }
    for (sid, token), status in expected.items():
        form = [("AccountSid", sid), *STATUS[1:]]
        assert (await service.callback("/twilio/status", form, token=token)).status_code == status, (sid, token)
    shared_key = {"X_Twilio_Webhooks_Signature_Settings": "key=SK1,algorithm=HMAC_SHA256"}
    assert (await service.callback("/twilio/status", STATUS, token="current", **shared_key)).status_code == 403
    logged = capfd.readouterr()
    assert "SharedKey" in logged.out + logged.err


def _signed_as_decoded(body: bytes) -> dict[str, str]:
    """Return signature headers for the body as a decoder decodes it that replaces invalid bytes."""
    pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="replace")
    return sign(PUBLIC_URL + "/twilio/status", pairs, TOKEN)


async def _trickle(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
