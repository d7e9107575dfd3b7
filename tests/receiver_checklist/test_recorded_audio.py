"""Recordings are fetched only from Twilio and decoded by their contents."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.simulator.twilio.loopback_server import serve_simulated_twilio
from amd_service.simulator.twilio.media_host import NOT_FOUND, MediaFile, MediaHost, ScriptedResponse
from tests.support.app import TOKEN
from tests.support.detectors import speech
from tests.support.receiver import HELLO, MEDIA_PATH, VOICE, Receiver, receiving
from tests.support.sids import ACCOUNT, RECORDING
from tests.support.signals import Array, file_of, pcm16, silence, wav

pytestmark = pytest.mark.anyio


async def test_media_is_fetched_only_from_the_configured_host(receiver: Receiver) -> None:
    media = receiver.simulated_twilio.media
    async with serve_simulated_twilio(MediaHost({})) as elsewhere:
        elsewhere.media.files[RECORDING] = MediaFile(HELLO)
        media.files[RECORDING] = MediaFile(HELLO, scripted=[_redirect(f"{elsewhere.url}/cdn/{RECORDING}.wav")])
        await receiver.recording("completed", RecordingUrl="https://evil.example/Recordings/RE1")
        assert (await receiver.judged())["label"] == "human"
        assert elsewhere.media.violations == []  # credentials in the request would be a violation
        assert [seen.with_credentials for seen in elsewhere.media.requests] == [False]
    assert receiver.media_requests == [MEDIA_PATH]
    for number, target in enumerate(
        ("http://169.254.169.254/latest/meta-data", "https://evil.example/x", "file:///etc/x")
    ):
        call = await receiver.judge(number, MediaFile(HELLO, scripted=[_redirect(target)]))
        assert (call["analysis_state"], call["reason"]) == ("failed", "external_storage")
    sent = MediaFile(lambda: (bytes(16 * 1024) for _ in range(4096)))  # 64 MiB without decodable audio
    await receiver.judge(9, sent)
    assert media.requests[-2].sent_bytes < 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("answers", "media_file", "state", "reason"),
    [
        ([NOT_FOUND, NOT_FOUND], MediaFile(HELLO), "judged", "confident"),
        ([NOT_FOUND] * 99, MediaFile(HELLO), "failed", "media_missing"),
        ([ScriptedResponse(401)], MediaFile(HELLO), "failed", "unauthorised"),
        ([ScriptedResponse(403)], MediaFile(HELLO), "failed", "unauthorised"),
        (
            [ScriptedResponse(429, headers={"retry-after": "0"}), ScriptedResponse(503), ScriptedResponse(500)],
            MediaFile(HELLO),
            "judged",
            "confident",
        ),
        ([ScriptedResponse(206, HELLO, {"content-type": "audio/x-wav"})], MediaFile(b""), "judged", "confident"),
        (
            [ScriptedResponse(200, NOT_FOUND.body, {"content-type": "audio/x-wav"})],
            MediaFile(b""),
            "failed",
            "undecodable",
        ),
        ([], MediaFile(b"\x8f" * 9000, metadata={"encryption_details": {"type": "rsa-aes"}}), "failed", "encrypted"),
        ([NOT_FOUND], MediaFile(b"", metadata={"media_url": "https://b.s3.example/x"}), "failed", "external_storage"),
    ],
    ids=["404 then 200", "404 for ever", "401", "403", "429 and 5xx", "206", "XML as audio", "encrypted", "external"],
)
async def test_each_response_of_the_media_host_ends_in_the_right_state(
    receiver: Receiver, answers: list[ScriptedResponse], media_file: MediaFile, state: str, reason: str
) -> None:
    call = await receiver.judge(1, replace(media_file, scripted=list(answers)))
    assert (call["analysis_state"], call["reason"]) == (state, reason)
    assert call["label"] == ("human" if state == "judged" else None)
    if reason == "unauthorised":  # wrong credentials are not retried
        assert len(receiver.media_requests) == 1


TEN_SECONDS = file_of(np.tile(VOICE, 4)[:80_000])


@pytest.mark.parametrize(
    "first",
    [
        ScriptedResponse(200),
        ScriptedResponse(200, TEN_SECONDS[:44]),
        ScriptedResponse(200, TEN_SECONDS[:22]),
        ScriptedResponse(200, TEN_SECONDS[:8044]),
        ScriptedResponse(200, file_of(speech(0.4))),
        ScriptedResponse(200, b"<html><body>Bad Gateway</body></html>", {"content-type": "text/html"}),
        ScriptedResponse(200, b'{"code": 20404}', {"content-type": "application/json"}),
        ScriptedResponse(200, NOT_FOUND.body, {"content-type": "application/xml"}),
        ScriptedResponse(200, TEN_SECONDS[:8044], cut=True),
        ScriptedResponse(200, b"", {"content-encoding": "gzip"}),
        ScriptedResponse(206, TEN_SECONDS[8044:], {"content-range": "bytes 8044-160043/160044"}),
    ],
    ids=[
        "empty", "header", "half a header", "half a second", "half a second by its header", "HTML", "JSON", "XML",
        "cut", "gzip", "later part",
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_the_recording_is_fetched_again(
    receiver: Receiver, first: ScriptedResponse
) -> None:
    later = MediaFile(TEN_SECONDS, scripted=[first, first])
    call = await receiver.judge(1, later, RecordingDuration="10")
    assert (call["label"], call["reason"]) == ("human", "confident")
    assert len([path for path in receiver.media_requests if path.split("?")[0].endswith(".wav")]) == 3


@pytest.mark.parametrize(
    ("body", "label", "reason"),
    [
        (b"", None, "undecodable"),
        (TEN_SECONDS[:22], None, "undecodable"),
        (b"<html></html>", None, "undecodable"),
        (TEN_SECONDS[:44], "undecided", "too_short"),
        (TEN_SECONDS[:8044], "undecided", "too_short"),
    ],
)
async def test_the_last_attempt_judges_an_incomplete_recording_as_it_is(
    receiver: Receiver, body: bytes, label: str | None, reason: str
) -> None:
    call = await receiver.judge(1, MediaFile(body), RecordingDuration="10")
    assert (call["label"], call["reason"]) == (label, reason)
    assert [recording["attempts"] for recording in call["recordings"]] == [receiver.settings.job_max_attempts]


@pytest.mark.parametrize("duration", ["1", None])
async def test_a_recording_of_one_second_is_too_short_at_once(receiver: Receiver, duration: str | None) -> None:
    fields = {} if duration is None else {"RecordingDuration": duration}
    call = await receiver.judge(1, MediaFile(file_of(speech(0.8))), **fields)
    assert (call["label"], call["reason"]) == ("undecided", "too_short")
    assert len(receiver.media_requests) == 1


async def test_a_wrong_content_type_does_not_hide_audio(receiver: Receiver) -> None:
    call = await receiver.judge(1, MediaFile(TEN_SECONDS, content_type="text/html"), RecordingDuration="10")
    assert (call["label"], call["reason"]) == ("human", "confident")
    assert len(receiver.media_requests) == 1


async def test_audio_is_decoded_by_its_header_and_too_little_audio_is_undecided(receiver: Receiver) -> None:
    heard = [
        file_of(VOICE, subtype="PCM_16"),
        file_of(VOICE, subtype="ULAW"),
        file_of(VOICE, subtype="ALAW"),
        file_of(VOICE, form="WAVEX"),
        file_of(np.repeat(VOICE, 2), rate_hz=16_000),
        wav(pcm16(VOICE), data_size=0xFFFFFFFF),
        wav(pcm16(VOICE), data_size=0),
        file_of(VOICE)[:-4001],
    ]
    for number, body in enumerate(heard):
        call = await receiver.judge(number, MediaFile(body))
        assert (call["label"], call["reason"]) == ("human", "confident"), number
    unheard = {"too_short": file_of(speech(0.4)), "no_speech": file_of(silence(3.0))}
    for number, (reason, body) in enumerate(unheard.items(), len(heard)):
        call = await receiver.judge(number, MediaFile(body))
        assert (call["label"], call["reason"], call["confidence"]) == ("undecided", reason, None)
    nothing = {"no bytes": b"", "a header alone": wav(b"")}
    reasons = {
        what: await _reason_of(receiver, number, MediaFile(body))
        for number, (what, body) in enumerate(nothing.items(), len(heard) + len(unheard))
    }
    assert reasons == {"no bytes": (None, "undecodable"), "a header alone": ("undecided", "too_short")}


async def test_the_called_partys_channel_is_a_setting_and_mixed_channels_are_reported(
    database: Database, detector: Detector, tmp_path: Path
) -> None:
    on_two: Array = np.stack([silence(3.0), VOICE], axis=1)
    dual, both = MediaFile(file_of(on_two), dual_available=True), {"RecordingTrack": "both", "RecordingChannels": "2"}
    async with receiving(database, detector) as by_default:
        call = await by_default.judge(1, dual, **both)
        assert (call["label"], call["reason"], call["channels_mixed"]) == ("undecided", "no_speech", False)
        assert by_default.media_requests[-1].endswith("?RequestedChannels=2")
        mono = await by_default.judge(
            2, MediaFile(HELLO), **both
        )  # the callback reports two channels, but the file has one
        assert (mono["label"], mono["channels_mixed"]) == ("human", True)
        inbound = await by_default.judge(3, MediaFile(HELLO), RecordingTrack="inbound")
        assert (inbound["label"], inbound["channels_mixed"]) == ("human", False)
    (tmp_path / "accounts.toml").write_text(
        f'[[account]]\naccount_sid = "{ACCOUNT}"\nauth_tokens = ["{TOKEN}"]\nchannels = {{ OutboundAPI = 2 }}\n'
    )
    async with receiving(
        database, detector, accounts_file=tmp_path / "accounts.toml", twilio_account_sid=None, twilio_auth_token=[]
    ) as told:
        call = await told.judge(4, dual, **both)
        assert (call["label"], call["channels_mixed"], call["verdicts"][-1]["channel"]) == ("human", False, 2)


async def _reason_of(receiver: Receiver, number: int, media_file: MediaFile) -> tuple[str | None, str]:
    """Return label and reason of a call whose recording the model did not score."""
    call = await receiver.judge(number, media_file)
    assert call["confidence"] is None
    return call["label"], call["reason"]


def _redirect(target: str) -> ScriptedResponse:
    return ScriptedResponse(302, headers={"location": target})
