import asyncio
import socket
from collections.abc import AsyncIterator
from io import BytesIO

import httpx2
import numpy as np
import pytest
from soundfile import SoundFile
from starlette.datastructures import Headers

from amd_service.database.pool import Timeouts
from amd_service.errors import ConfigurationError
from amd_service.settings import RETRY_OVERRIDES, Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_simulated_twilio
from amd_service.simulator.twilio.media_host import NOT_FOUND, MediaFile, MediaHost, ScriptedResponse
from amd_service.simulator.twilio.signed_callbacks import CallbackOutcome, ConnectionRules, send_callback, sign
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.signature import verify
from tests.support.signals import RATE_HZ, Array, file_of, tone

pytestmark = pytest.mark.anyio

AC = "AC" + "a" * 32
RE = "RE" + "2" * 32
PATH = f"/2010-04-01/Accounts/{AC}/Recordings/{RE}"
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"]})
CALLED, CALLER = tone((440.0,), 2.0), tone((1000.0,), 2.0)
MIXED: Array = np.mean([CALLED, CALLER], axis=0, dtype=np.float32)
DUAL = file_of(np.stack([CALLED, CALLER], axis=1))
PAIRS = [
    ("AccountSid", AC),
    ("CallStatus", "completed"),
    ("ToCity", "São Paulo"),
    ("Blank", ""),
    ("To", "+15005550006"),
]


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    async with serve_simulated_twilio(MediaHost({AC: (AC, "token")})) as running:
        yield running


@pytest.fixture
async def client(simulated_twilio: SimulatedTwilio) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulated_twilio.url, auth=(AC, "token"), trust_env=False) as client:
        yield client


@pytest.mark.parametrize("suffix", ["", ".wav", ".mp3"])
async def test_a_body_that_is_not_audio_is_served_unchanged_under_each_suffix(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, suffix: str
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(b"RIFF" * 10_000, content_type="audio/x-test")
    response = await client.get(PATH + suffix)
    assert (response.status_code, response.content) == (200, b"RIFF" * 10_000)
    assert response.headers["content-type"] == "audio/x-test"
    assert simulated_twilio.media.requests[0].sent_bytes == 40_000


async def test_a_request_without_a_suffix_gets_the_wav_file(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(DUAL)
    for response in (await client.get(PATH), await client.get(PATH + ".wav")):
        assert (response.headers["content-type"], response.content) == ("audio/x-wav", DUAL)


async def test_a_request_with_the_mp3_suffix_gets_the_same_sound_as_mp3(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(file_of(CALLED))
    response = await client.get(PATH + ".mp3")
    assert response.headers["content-type"] == "audio/mpeg"
    assert len(response.content) * 8 == pytest.approx(32_000 * 2.0, rel=0.15)
    with SoundFile(BytesIO(response.content)) as file:
        assert (file.format, file.samplerate, file.channels) == ("MP3", RATE_HZ, 1)
        assert np.abs(file.read() - CALLED).max() < 0.05


async def test_an_mp3_file_is_not_encoded_again(simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient) -> None:
    mp3 = file_of(CALLED, form="MP3", subtype="MPEG_LAYER_III")
    simulated_twilio.media.files[RE] = MediaFile(mp3, content_type="audio/mpeg")
    assert (await client.get(PATH + ".mp3")).content == mp3


async def test_a_dual_recording_is_mixed_down_only_on_request(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(DUAL, dual_available=True)
    both, mixed = [CALLED, CALLER], [MIXED]
    for query, heard in (("", both), ("?RequestedChannels=2", both), ("?RequestedChannels=1", mixed)):
        for suffix, form in (("", "WAV"), (".wav", "WAV"), (".mp3", "MP3")):
            response = await client.get(PATH + suffix + query)
            with SoundFile(BytesIO(response.content)) as file:
                assert (file.format, file.channels) == (form, len(heard)), (suffix, query)
                assert np.abs(file.read(always_2d=True).T - heard).max() < 0.05, (suffix, query)


async def test_a_mono_recording_is_served_unchanged_when_one_channel_is_requested(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(file_of(CALLED)[:-1001])
    assert (await client.get(PATH, params={"RequestedChannels": "1"})).content == file_of(CALLED)[:-1001]


async def test_the_credentials_of_the_account_in_the_path_are_required(simulated_twilio: SimulatedTwilio) -> None:
    simulated_twilio.media.files[RE] = MediaFile(b"RIFF")
    other = "AC" + "b" * 32
    async with httpx2.AsyncClient(base_url=simulated_twilio.url, trust_env=False) as anonymous:
        assert (await anonymous.get(PATH)).status_code == 401
        assert (await anonymous.get(PATH, auth=(AC, "wrong"))).status_code == 401
        assert (await anonymous.get(PATH.replace(AC, other), auth=(AC, "token"))).status_code == 401


async def test_an_unknown_recording_gets_twilios_xml_404(client: httpx2.AsyncClient) -> None:
    response = await client.get(PATH + ".wav")
    assert response.status_code == 404
    assert b"20404" in response.content


async def test_scripted_responses_are_sent_once_each_before_the_media(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(
        b"RIFF", scripted=[NOT_FOUND, ScriptedResponse(429, headers={"retry-after": "1"})]
    )
    answers = [await client.get(PATH) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 429, 200, 200]
    assert answers[1].headers["retry-after"] == "1"


async def test_a_request_for_two_channels_of_a_mono_recording_is_rejected(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = media_file = MediaFile(b"RIFF")
    assert (await client.get(PATH, params={"RequestedChannels": "2"})).status_code == 400
    media_file.dual_available = True
    assert (await client.get(PATH, params={"RequestedChannels": "2"})).status_code == 200


async def test_metadata_is_served_without_using_a_scripted_response(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(b"", scripted=[NOT_FOUND], metadata={"encryption_details": {"x": 1}})
    found = (await client.get(PATH + ".json")).json()
    assert found["media_url"] == simulated_twilio.url + PATH
    assert found["encryption_details"] == {"x": 1}
    assert (await client.get(PATH)).status_code == 404


async def test_a_wrong_content_length_breaks_the_connection(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(b"RIFF", declared_bytes=1000)
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get(PATH)


async def test_credentials_at_a_foreign_host_are_a_violation(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    simulated_twilio.media.files[RE] = MediaFile(b"RIFF")
    assert (await client.get(f"/cdn/{RE}.wav")).content == b"RIFF"
    assert len(simulated_twilio.media.violations) == 1


async def test_credentials_at_an_unknown_path_are_a_violation(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    unknown = [("GET", f"/{RE}.wav"), ("GET", f"{PATH}.wav/"), ("DELETE", f"{PATH}.wav"), ("POST", "/")]
    async with httpx2.AsyncClient(base_url=simulated_twilio.url, trust_env=False) as anonymous:
        assert [(await anonymous.request(*what)).status_code for what in unknown] == [404] * 4
    assert simulated_twilio.media.violations == []
    answers = [await client.request(*what) for what in unknown]
    assert [(answer.status_code, b"20404" in answer.content) for answer in answers] == [(404, True)] * 4
    host = simulated_twilio.url.removeprefix("http://")
    assert simulated_twilio.media.violations == [f"credentials arrived at {host}{path}" for _, path in unknown]
    assert [seen.with_credentials for seen in simulated_twilio.media.requests] == [False] * 4 + [True] * 4


async def test_a_port_in_use_is_reported(simulated_twilio: SimulatedTwilio) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        async with serve_simulated_twilio(MediaHost({}), port=int(simulated_twilio.url.rpartition(":")[2])):
            pass


async def test_the_server_ends_with_its_context() -> None:
    async with serve_simulated_twilio(MediaHost({})) as running:
        port = int(running.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def service(*statuses: int | Exception) -> tuple[httpx2.AsyncClient, list[httpx2.Request]]:
    """A client whose service sends these responses in order. The last response repeats."""
    left, requests = list(statuses), []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        status = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(status, Exception):
            raise status
        return httpx2.Response(status)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer)), requests


async def test_a_callback_carries_a_valid_signature() -> None:
    client, requests = service(204)
    async with client:
        sent = await send_callback(
            client,
            "http://127.0.0.1:1",
            "/twilio/status",
            PAIRS,
            token="token",
            signed_base="https://amd.example.com",
            overrides=RETRY_OVERRIDES,
        )
    assert sent == CallbackOutcome(204, "2xx", 1)
    form = parse_form(requests[0].content)
    assert list(form) == PAIRS
    headers = Headers(dict(requests[0].headers))
    assert headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert verify({ACCOUNT.account_sid: ACCOUNT}, "https://amd.example.com", b"/twilio/status", b"", form, headers)


def test_the_fragment_is_not_signed() -> None:
    assert sign("https://x/y" + RETRY_OVERRIDES, PAIRS, "token") == sign("https://x/y", PAIRS, "token")


REFUSED = httpx2.ConnectError("refused")
SILENT = httpx2.ReadTimeout("silent")
BROKEN = httpx2.ReadError("broken")


@pytest.mark.parametrize(
    ("overrides", "answers", "expected"),
    [
        ("", [500, 204], CallbackOutcome(500, "5xx", 1)),
        ("", [SILENT, 204], CallbackOutcome(None, "rt", 1)),
        ("", [REFUSED, 204], CallbackOutcome(204, "2xx", 2)),
        ("", [REFUSED], CallbackOutcome(None, "ct", 2)),
        (RETRY_OVERRIDES, [503, SILENT, REFUSED, 204], CallbackOutcome(204, "2xx", 4)),
        (RETRY_OVERRIDES, [503], CallbackOutcome(503, "5xx", 4)),
        (RETRY_OVERRIDES, [403, 204], CallbackOutcome(403, "4xx", 1)),
        ("#rc=5&rp=all", [403, 204], CallbackOutcome(204, "2xx", 2)),
        ("#rc=5&rp=all", [BROKEN, 204], CallbackOutcome(None, "partial", 1)),
        ("#rc=0", [REFUSED, 204], CallbackOutcome(None, "ct", 1)),
    ],
)
async def test_only_failures_named_by_the_rules_are_retried(
    overrides: str, answers: list[int | Exception], expected: CallbackOutcome
) -> None:
    client, requests = service(*answers)
    async with client:
        sent = await send_callback(client, "http://x", "/y", PAIRS, token="token", overrides=overrides)
    assert sent == expected
    assert len({request.headers["i-twilio-idempotency-token"] for request in requests}) == 1


async def test_a_hanging_service_leaves_time_for_another_attempt() -> None:
    hangs_s: list[float] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if hangs_s:
            return httpx2.Response(204)
        hangs_s.append(request.extensions["timeout"]["read"])
        raise SILENT

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        sent = await send_callback(client, "http://x", "/y", PAIRS, token="token", overrides=RETRY_OVERRIDES)
    assert sent == CallbackOutcome(204, "2xx", 2)
    # The service had enough time to report a stuck database, and another attempt of equal length is possible.
    assert Timeouts().transaction_s < hangs_s[0] < ConnectionRules.from_fragment(RETRY_OVERRIDES).total_s / 2


async def test_all_attempts_end_at_the_total_timeout() -> None:
    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(hang)) as client:
        sent = await send_callback(client, "http://x", "/y", PAIRS, token="token", overrides="#rc=5&rp=all&tt=100")
    assert sent == CallbackOutcome(None, "tt", 1)


def test_the_rules_default_to_twilios_defaults() -> None:
    assert ConnectionRules.from_fragment("") == ConnectionRules(1, frozenset({"ct"}), 5.0, 15.0, 15.0)
    assert ConnectionRules.from_fragment("#rc=3&rp=5xx,rt&ct=100&rt=200&tt=300") == ConnectionRules(
        3, frozenset({"5xx", "rt"}), 0.1, 0.2, 0.3
    )
