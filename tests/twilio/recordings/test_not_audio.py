"""Responses that are not audio according to the caller's rule."""

import httpx2
import pytest

from amd_service.domain import Failure
from amd_service.errors import MediaRefused
from amd_service.twilio.recordings import AudioRules, Recordings
from tests.support.recordings import ACCOUNT, API, RE, Endless, Log, fetch, metadata, never, ok, settings

pytestmark = pytest.mark.anyio


async def test_an_encrypted_recording_is_recognised_by_its_metadata() -> None:
    log = Log(
        ok(bytes(range(1, 200)), "application/octet-stream"), metadata(encryption_details={"encryption_cek": "…"})
    )
    with pytest.raises(MediaRefused) as raised:
        await fetch(log)
    assert raised.value.failure == Failure.ENCRYPTED


async def test_only_the_beginning_of_ciphertext_is_downloaded() -> None:
    body = Endless(b"\x01" * 16_384)
    details = metadata(encryption_details={"encryption_cek": "…"})
    with pytest.raises(MediaRefused):
        await fetch(Log(httpx2.Response(200, stream=body), details))
    assert body.given <= 128 * 1024


async def test_unknown_bytes_are_returned_for_the_decoder() -> None:
    unknown = b"\x00\x01strange"
    assert (await fetch(Log(ok(unknown, "application/octet-stream"), metadata()))).data == unknown


async def test_only_the_beginning_of_an_html_page_is_downloaded() -> None:
    body = Endless(b"<html>" + b" " * 16_378)
    page = httpx2.Response(200, stream=body, headers={"content-type": "audio/x-wav"})
    assert not (await fetch(Log(page, metadata()))).complete
    assert body.given <= 128 * 1024


async def test_the_audio_rule_gets_the_content_type() -> None:
    checked: list[tuple[bytes, str | None]] = []

    def is_audio(prefix: bytes, content_type: str | None) -> bool:
        checked.append((prefix, content_type))
        return True

    log = Log(ok(b"\x7f" * 800, "audio/x-mulaw;rate=8000"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(log)) as client:
        await Recordings(client, settings()).fetch(ACCOUNT, RE, prefer_dual=False, rules=AudioRules(is_audio, never))
    assert checked == [(b"\x7f" * 800, "audio/x-mulaw;rate=8000")]
    assert log.urls == [f"{API}.wav"]
