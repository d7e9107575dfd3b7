"""Bytes that are no audio, as far as the caller's rule can tell."""

import httpx2
import pytest

from amd_service.domain import Failure
from amd_service.errors import MediaRefused
from amd_service.twilio.recordings import AudioRules, Recordings
from tests.support.recordings import ACCOUNT, API, RE, Endless, Log, fetch, metadata, never, ok, settings

pytestmark = pytest.mark.anyio


async def test_ciphertext_is_recognised_by_its_metadata() -> None:
    log = Log(
        ok(bytes(range(1, 200)), "application/octet-stream"), metadata(encryption_details={"encryption_cek": "…"})
    )
    with pytest.raises(MediaRefused) as raised:
        await fetch(log)
    assert raised.value.failure == Failure.ENCRYPTED


async def test_an_hour_of_ciphertext_is_not_read_to_its_end() -> None:
    body = Endless(b"\x01" * 16_384)
    details = metadata(encryption_details={"encryption_cek": "…"})
    with pytest.raises(MediaRefused):
        await fetch(Log(httpx2.Response(200, stream=body), details))
    assert body.given <= 128 * 1024


async def test_unknown_bytes_are_left_to_the_decoder() -> None:
    strange = b"\x00\x01strange"
    assert (await fetch(Log(ok(strange, "application/octet-stream"), metadata()))).data == strange


async def test_a_page_in_place_of_audio_is_read_no_further_and_left_to_the_decoder() -> None:
    body = Endless(b"<html>" + b" " * 16_378)
    page = httpx2.Response(200, stream=body, headers={"content-type": "audio/x-wav"})
    assert not (await fetch(Log(page, metadata()))).complete
    assert body.given <= 128 * 1024


async def test_whether_it_is_audio_is_asked_with_its_declaration() -> None:
    asked: list[tuple[bytes, str | None]] = []

    def known(prefix: bytes, content_type: str | None) -> bool:
        asked.append((prefix, content_type))
        return True

    log = Log(ok(b"\x7f" * 800, "audio/x-mulaw;rate=8000"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(log)) as client:
        await Recordings(client, settings()).fetch(ACCOUNT, RE, prefer_dual=False, rules=AudioRules(known, never))
    assert asked == [(b"\x7f" * 800, "audio/x-mulaw;rate=8000")]
    assert log.urls == [f"{API}.wav"]
