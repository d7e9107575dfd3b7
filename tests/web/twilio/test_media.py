"""Live streams with the bundled model."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus

from amd_service.calls.tables import BROKEN_OFF
from amd_service.database.pool import Database
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.detection.live_stream import CONTENT_TYPE
from amd_service.domain import Verdict
from amd_service.telemetry import Metrics
from amd_service.web.time_limits import TimeLimits
from tests.support.app import TOKEN, make_settings
from tests.support.deliveries import deliver, recording_row, status, verdict_rows
from tests.support.media_streams import HELLO, QUIET, STREAM, STREAM_ROW, LiveService, call_row, send_messages, serving

pytestmark = pytest.mark.anyio

EMPTY = {"call_log": 0, "callback": 0, "recording": 0}


@pytest.fixture(scope="module")
async def demo() -> AsyncIterator[Detector]:
    """A ready detector with the bundled model, whose looks at a stream are those at a recording."""
    settings = make_settings(threads=1, window_ms=2000, long_window_ms=5000, long_window="unsure")
    async with Detector.from_settings(settings, Metrics()) as detector:
        await detector.wait_ready_or_raise()
        yield detector


@pytest.fixture
async def live(database: Database, demo: Detector) -> AsyncIterator[LiveService]:
    async with serving(database, demo, live_streams=1, on_human="hang_up") as live:
        yield live


async def judge(detector: Detector, audio: bytes) -> Verdict:
    return await detector.judge(
        AudioInput(data=audio, content_type=CONTENT_TYPE, one_sided=True), priority=Priority.RECORDING
    )


async def test_a_stream_gets_the_same_verdict_as_its_recording_and_is_closed(live: LiveService, demo: Detector) -> None:
    played = await live.send_stream()
    assert (played.close_code, played.refused) == (1000, None)
    expected, call = await judge(demo, HELLO), await call_row(live)
    assert (call.label, call.reason, call.confidence) == (expected.label, expected.reason, expected.confidence)
    assert (call.analysis_state, call.verdict_source) == ("judged", "stream")
    assert (call.action, call.action_state) == ("hang_up", "due")
    await live.wait_for_outcome("verdict")
    assert live.service.counted("amd_live_streams") == 0


async def test_the_seconds_from_the_answer_to_a_live_verdict_are_measured(live: LiveService) -> None:
    await deliver(live.service.runtime.database, status("in-progress", timestamp=datetime.now(UTC)))
    await live.send_stream()
    await live.wait_for_outcome("verdict")
    assert live.service.counted("amd_answer_to_verdict_seconds_count", source="stream", campaign="") == 1


async def test_a_stream_without_speech_is_undecided(live: LiveService) -> None:
    await live.send_stream(replace(STREAM, audio=QUIET))
    call = await call_row(live)
    assert (call.analysis_state, call.label, call.reason, call.confidence) == ("judged", "undecided", "no_speech", None)
    await live.wait_for_outcome("verdict")


async def test_a_stream_whose_connection_ends_early_is_judged_without_an_action(
    live: LiveService, demo: Detector
) -> None:
    await live.send_stream(replace(STREAM, cut_after=90))
    await live.wait_for_outcome("broken_off")
    assert (await recording_row(live.service.runtime.database, STREAM_ROW)).recording_status == BROKEN_OFF
    expected, call = await judge(demo, HELLO[: 90 * 160]), await call_row(live)
    assert (call.label, call.reason, call.confidence) == (expected.label, expected.reason, expected.confidence)
    assert (call.label, call.action) == ("human", None)


async def test_lost_and_repeated_chunks_do_not_shift_the_onset(live: LiveService, demo: Detector) -> None:
    await live.send_stream(replace(STREAM, skipped=frozenset({3, 4, 9}), repeated=frozenset({6, 40})))
    expected = await judge(demo, HELLO)
    (row,) = await verdict_rows(live.service.runtime.database)
    assert row.label == expected.label
    assert row.onset_ms == pytest.approx(expected.onset_ms, abs=32)


async def test_the_outbound_track_does_not_change_the_verdict(live: LiveService) -> None:
    await live.send_stream(replace(STREAM, both_tracks=True))
    both = await call_row(live)
    await live.send_stream(replace(STREAM, stream_sid="MZ" + "9" * 32))
    (first, second) = await verdict_rows(live.service.runtime.database)
    assert (first.audio_sha256, first.onset_ms) == (second.audio_sha256, second.onset_ms)
    assert both.label == "human"


async def test_a_stream_with_too_many_lost_chunks_has_no_verdict(live: LiveService) -> None:
    played = await live.send_stream(replace(STREAM, skipped=frozenset(range(10, 70))))
    assert played.close_code == 1008
    await live.wait_for_outcome("malformed")
    assert await live.service.rows() == EMPTY


async def test_a_second_verdict_of_one_stream_changes_nothing(live: LiveService) -> None:
    await live.send_stream()
    await live.send_stream(replace(STREAM, audio=QUIET))
    await live.wait_for_outcome("unused")
    assert (await call_row(live)).label == "human"
    assert (await recording_row(live.service.runtime.database, STREAM_ROW)).state == "done"


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1]])
async def test_an_unsigned_handshake_is_refused_before_it_is_accepted(live: LiveService, token: str) -> None:
    assert (await live.send_stream(token=token)).refused == 403
    assert await live.service.rows() == EMPTY
    await live.wait_for_outcome("refused")


async def test_a_start_message_with_an_account_that_did_not_sign_the_handshake_is_refused(live: LiveService) -> None:
    assert (await live.send_stream(replace(STREAM, account_sid="AC" + "9" * 32))).close_code == 1008
    assert await live.service.rows() == EMPTY


@pytest.mark.parametrize("parameters", [{}, {"key": "0" * 64}, {"key": "é"}, {"other": "x"}])
async def test_a_stream_without_the_key_of_its_call_is_refused(live: LiveService, parameters: dict[str, str]) -> None:
    assert (await live.send_stream(replace(STREAM, parameters=parameters))).close_code == 1008
    await live.wait_for_outcome("refused")
    assert await live.service.rows() == EMPTY


async def test_the_key_of_another_call_is_refused(live: LiveService) -> None:
    assert (await live.send_stream(replace(STREAM, call_sid="CA" + "9" * 32))).close_code == 1008
    assert await live.service.rows() == EMPTY


async def test_a_stream_beyond_the_limit_is_rejected(live: LiveService) -> None:
    async with live.open() as first:
        await send_messages(first, STREAM.start())
        assert (await live.send_stream()).refused == 403
        await first.close()
    await live.wait_for_outcome("unjudged")  # no audio arrived
    assert (await live.send_stream()).close_code == 1000


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        b"binary",
        json.dumps(STREAM.media(1)),
        json.dumps(STREAM.stop()),
        json.dumps(replace(STREAM, call_sid="CA1").start()),
    ],
    ids=["nonsense", "binary", "media first", "stop first", "bad sid"],
)
async def test_an_invalid_message_ends_the_stream(live: LiveService, message: str | bytes) -> None:
    async with live.open() as connection:
        await connection.send(message)
        await connection.wait_closed()
    assert connection.close_code == 1008
    assert await live.service.rows() == EMPTY


async def test_a_message_that_is_too_large_ends_the_stream(live: LiveService) -> None:
    async with live.open() as connection:
        await connection.send(json.dumps({"event": "x" * 70_000}))
        await connection.wait_closed()
    assert connection.close_code == 1009
    await live.wait_for_outcome("broken_off")


@pytest.mark.parametrize("message", [STREAM.start(), replace(STREAM, stream_sid="MZ" + "9" * 32).media(1)])
async def test_a_second_start_and_media_of_another_stream_end_the_stream(
    live: LiveService, message: dict[str, object]
) -> None:
    async with live.open() as connection:
        await send_messages(connection, STREAM.start(), message)
        await connection.wait_closed()
    assert connection.close_code == 1008


async def test_an_idle_connection_is_closed(database: Database, demo: Detector) -> None:
    async with serving(database, demo, time_limits=TimeLimits(media_idle_s=0.5)) as live:
        async with live.open() as connection:
            await send_messages(connection, STREAM.start(), STREAM.media(1))
            await connection.wait_closed()
        assert connection.close_code == 1000
        await live.wait_for_outcome("broken_off")
        assert (await call_row(live)).reason == "too_short"


async def test_an_endless_stream_is_closed_after_the_time_limit(database: Database, demo: Detector) -> None:
    async with serving(database, demo, time_limits=TimeLimits(media_total_s=0.3)) as live:
        played = await live.send_stream(replace(STREAM, audio=QUIET * 20, pace=1.0))
        assert played.close_code == 1000
        assert played.lasted_s < 20
        await live.wait_for_outcome("broken_off")


async def test_no_other_path_accepts_a_websocket(live: LiveService) -> None:
    for path in ("/", "/predict-stream", "/twilio/status", "/twilio/media/", "/twilio/stream.xml"):
        with pytest.raises(InvalidStatus) as refused:
            async with live.open(path):
                pass
        assert refused.value.response.status_code == 403


async def test_a_handshake_without_an_upgrade_gets_426_and_an_error_about_the_proxy(
    live: LiveService, capfd: pytest.CaptureFixture[str]
) -> None:
    response = await live.service.client.get("/twilio/media")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert "the proxy forwards the `Upgrade` header" in response.json()["detail"]
    assert "".join(capfd.readouterr()).count("the proxy forwards the `Upgrade` header") == 1


async def test_without_a_model_a_stream_ends_without_a_verdict(database: Database) -> None:
    async with serving(database) as live:
        assert (await live.send_stream()).close_code == 1000
        await live.wait_for_outcome("unjudged")
        assert await live.service.rows() == EMPTY


async def test_without_a_database_a_stream_is_closed_normally(closed_database: Database, demo: Detector) -> None:
    async with serving(closed_database, demo) as live:
        assert (await live.send_stream()).close_code == 1000
        await live.wait_for_outcome("not_stored")


async def test_while_live_is_off_every_stream_is_refused(database: Database) -> None:
    async with serving(database, live=False) as live:
        assert (await live.send_stream()).refused == 403
        assert (await live.service.client.get("/twilio/media")).status_code == 404


async def test_a_stream_signed_with_the_old_token_is_accepted(database: Database, demo: Detector) -> None:
    tokens = [SecretStr("new"), SecretStr(TOKEN)]
    async with serving(database, demo, twilio_auth_token=tokens) as live:
        assert (await live.send_stream()).close_code == 1000
