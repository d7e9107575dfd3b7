"""Uploads stay in memory, and a wrong upload gets one problem that names the fault and the cure."""

import base64
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from amd_service.database.pool import Database
from tests.support.app import App, open_app
from tests.support.fixture_calls import HUMAN
from tests.support.signals import file_of, noise

pytestmark = pytest.mark.anyio

BOUNDARY = "----boundary7MA4YWxk"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
CONTENT = "content-disposition: form-data; "
PATHS = ("/predict", "/predict-stream")
AUDIO = f'{CONTENT}name="audio"; filename="call.wav"\r\ncontent-type: audio/wav'
LARGE = file_of(noise(100.0, -40))  # 1.6 MB


def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    """A multipart body. Each part consists of its headers and its data."""
    body = b"".join(f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + data + b"\r\n" for headers, data in parts)
    return body + f"--{BOUNDARY}".encode() + end


async def send(service: App, body: bytes | AsyncIterator[bytes], query: str = "", **headers: str) -> httpx2.Response:
    sent = FORM | {name.replace("_", "-"): text for name, text in headers.items()}
    return await service.client.post(f"/predict{query}", content=body, headers=sent)


async def problem_with(service: App, body: bytes, query: str = "", **headers: str) -> tuple[int, str]:
    response = await send(service, body, query, **headers)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code
    return response.status_code, response.json()["detail"]


def open_files() -> set[str]:
    """The regular files that this process has open, also deleted files."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("/") and not target.startswith("/dev/"):
            found.add(target)
    return found


async def test_a_paused_upload_of_3_mb_opens_no_file(judging: App) -> None:
    before = open_files()
    during: list[set[str]] = []
    body = form((AUDIO, file_of(noise(190.0, -40))))
    assert len(body) > 3_000_000

    async def paused() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 64 * 1024):
            during.append(open_files() - before)
            yield body[start : start + 64 * 1024]

    response = await send(judging, paused())
    assert response.status_code == 200
    assert len(during) > 40
    assert set().union(*during) == set()


async def test_an_upload_of_1_6_mb_works_without_a_writable_directory(
    judging: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no-temporary-directory")
    response = await send(judging, form((AUDIO, LARGE)))
    assert response.status_code == 200


HEADERS = [
    AUDIO,
    f'{CONTENT}name="audio"\r\ncontent-type: audio/wav',
    f'{CONTENT}name="audio"\r\ncontent-type: application/octet-stream',
    f'{CONTENT}name="audio"',
    f"{CONTENT}name=audio",
    f"{CONTENT}name=\"audio\"; filename*=UTF-8''Gespr%C3%A4ch.wav\r\ncontent-type: audio/wav",
    'Content-Disposition: Form-Data; Name="audio"; filename=""\r\nContent-Type: audio/wav',
    f'content-type: audio/wav\r\n{CONTENT}filename="a;b\\"c.wav"; name="audio"',
]


async def test_the_part_audio_is_taken_with_or_without_a_file_name(judging: App) -> None:
    for headers in HEADERS:
        response = await send(judging, form((headers, HUMAN)))
        assert (response.status_code, headers) == (200, headers)
        assert response.json()["label"] == "human"


async def test_an_upload_in_single_bytes_is_read(judging: App) -> None:
    async def single_bytes() -> AsyncIterator[bytes]:
        for byte in form((f"{CONTENT}name=channel", b"1"), (AUDIO, HUMAN[:4000])):
            yield bytes([byte])

    assert (await send(judging, single_bytes())).status_code == 200


CHANNEL = f'{CONTENT}name="channel"'


async def test_channel_2_of_mono_audio_gets_422(judging: App) -> None:
    for path in PATHS:
        response = await judging.client.post(f"{path}?channel=2", content=HUMAN, headers={"content-type": "audio/wav"})
        assert response.status_code == 422
        assert "`channel` is 2, but the audio has one channel" in response.json()["detail"]
    assert (await send(judging, form((AUDIO, HUMAN), (CHANNEL, b"2")))).status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (form((AUDIO, HUMAN), end=b"")[:-200], 400, "ends before its closing boundary"),
        (form((AUDIO, HUMAN), end=b""), 400, "ends before its closing boundary"),
        (form((AUDIO, HUMAN))[: len(HUMAN) // 2], 400, "ends before its closing boundary"),
        (b"", 400, "no part"),
        (f"--{BOUNDARY}--\r\n".encode(), 400, "no part"),
        (HUMAN, 400, "does not begin with the boundary"),
        (form((AUDIO, HUMAN)).replace(BOUNDARY.encode(), b"another"), 400, "does not begin with the boundary"),
        (form((AUDIO, HUMAN), (AUDIO, HUMAN)), 422, "exactly one part `audio`: the form has 2"),
        (form((AUDIO.replace("audio", "file", 1), HUMAN)), 422, "has the part 'file': rename it to 'audio'"),
        (form((CONTENT + "name=file", HUMAN), (CHANNEL, b"1")), 422, "has the part 'file': rename it to 'audio'"),
        (form((CONTENT + "name=a", HUMAN), (CONTENT + "name=b", b"")), 422, "the form has 0, among `a`, `b`"),
        (form((CONTENT + 'name="audio"', b"call.wav")), 422, "the text 'call.wav', not audio: write @ before the path"),
        (form((CONTENT + "name=audio", "Gespr\u00e4che/1.mp3".encode())), 422, "write @ before the path"),
        (form((CONTENT + "name=audio", bytes(50))), 422, "not in a known audio format"),
        (form((AUDIO, b"")), 422, "`audio` is empty"),
        (form((AUDIO, base64.b64encode(HUMAN))), 422, "base64"),
        (form((AUDIO, b'{"audio": "UklGRg=="}')), 422, "JSON"),
        (form((AUDIO, b"\x1aE\xdf\xa3" + bytes(5000))), 422, "WebM"),
        (form((AUDIO, HUMAN), (CHANNEL, b"")), 422, "but it is empty"),
        (form((AUDIO, HUMAN), (CHANNEL, b"left")), 422, "but it is 'left'"),
        (form((AUDIO, HUMAN), (CHANNEL, b"1"), (CHANNEL, b"2")), 422, "but it has 2 values"),
        (form((AUDIO, HUMAN), (CHANNEL, b"x" * 5_000_000)), 413, "2000000 bytes, the limit: send less"),
        (form(*[(f"{CONTENT}name=a", b"")] * 17), 400, "more than 16 parts"),
        (form((f"{CONTENT}name=a\r\nx: {'y' * 9000}", b"")), 400, "malformed"),
    ],
)  # fmt: skip
async def test_a_wrong_form_gets_a_problem_with_its_cure(
    closed_database: Database, judging: App, body: bytes, status: int, words: str
) -> None:
    service = judging if status == 422 else open_app(closed_database, max_upload_bytes=2_000_000)
    found, detail = await problem_with(service, body)
    assert (found, words in detail) == (status, True), detail


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'b' * 71}", "; charset=utf-8"])
async def test_a_form_without_a_usable_boundary_gets_400(judging: App, boundary: str) -> None:
    content_type = f"multipart/form-data{boundary}"
    status, detail = await problem_with(judging, form((AUDIO, HUMAN)), content_type=content_type)
    assert status == 400
    assert "needs a boundary" in detail


@pytest.mark.parametrize("announced", [True, False])
async def test_a_part_over_the_limit_gets_413_and_a_part_at_the_limit_is_accepted(
    closed_database: Database, announced: bool
) -> None:
    service = open_app(closed_database, max_upload_bytes=len(HUMAN))

    async def without_length(body: bytes) -> AsyncIterator[bytes]:
        yield body

    accepted, refused = form((AUDIO, HUMAN)), form((AUDIO, HUMAN + b"\0"))
    # The model is not ready, so the response to an accepted upload is 503.
    assert (await send(service, accepted if announced else without_length(accepted))).status_code == 503
    response = await send(service, refused if announced else without_length(refused))
    assert response.status_code == 413
    assert f"`audio` has more than {len(HUMAN)} bytes" in response.json()["detail"]


async def test_a_413_names_the_setting_and_its_value(closed_database: Database) -> None:
    service = open_app(closed_database, max_upload_bytes=2000)
    for content_type in (FORM["content-type"], "audio/wav"):
        found, detail = await problem_with(service, form((AUDIO, LARGE)), content_type=content_type)
        assert found == 413
        assert detail.startswith("the body has more than 2000 bytes, the limit: ")
        assert "increase AMD_MAX_UPLOAD_BYTES" in detail


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?channel=", "it is empty"),
        ("?channel", "it is empty"),
        ("?channel=3", "it is '3'"),
        ("?channel=1&channel=2", "it has 2 values"),
    ],
)
async def test_a_wrong_channel_in_the_query_is_named(judging: App, query: str, words: str) -> None:
    for path in PATHS:
        response = await judging.client.post(path + query, content=HUMAN, headers={"content-type": "audio/wav"})
        assert response.status_code == 422
        assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("application/json", "the body is JSON"),
        ("application/json; charset=utf-8", "the body is JSON"),
        ("application/x-www-form-urlencoded", "add `-H 'content-type: audio/wav'`, or send multipart/form-data"),
        ("text/plain", "'text/plain' is not audio"),
        ("image/png", "'image/png' is not audio"),
        ("", "no content type"),
    ],
)
async def test_a_content_type_that_is_not_audio_is_named(judging: App, content_type: str, words: str) -> None:
    for path in PATHS:
        response = await judging.client.post(path, content=b"{}", headers={"content-type": content_type})
        assert response.status_code == 415
        assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (base64.b64encode(HUMAN), "base64"),
        (b'{"audio": "UklGRg=="}', "JSON"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(5000), "M4A"),
        (b"\x1aE\xdf\xa3" + bytes(5000), "WebM"),
    ],
)
async def test_a_body_that_is_no_audio_is_named_at_both_endpoints(judging: App, body: bytes, words: str) -> None:
    for path in PATHS:
        for content_type in ("audio/wav", "audio/basic", "application/octet-stream"):
            response = await judging.client.post(path, content=body, headers={"content-type": content_type})
            assert response.status_code == 422
            assert words in response.json()["detail"]


async def test_a_container_is_judged_whatever_its_content_type(judging: App) -> None:
    body = file_of(noise(3.0, -40), form="OGG", subtype="OPUS")
    for path in PATHS:
        for content_type in ("audio/basic", "audio/ogg", "video/webm", "application/ogg"):
            response = await judging.client.post(path, content=body, headers={"content-type": content_type})
            assert response.status_code == 200
            assert json.loads(response.text.splitlines()[-1])["reason"] == "no_speech"
