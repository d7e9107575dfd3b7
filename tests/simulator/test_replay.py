import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings
from amd_service.simulator.outcomes import Outcome, compare
from amd_service.simulator.recorded_calls import load_calls
from amd_service.simulator.replay import replay
from amd_service.simulator.run_replay import replay_against_running_service
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio, serve_on_loopback
from tests.support.stub_service import ACCOUNT, JUDGED, PUBLIC_URL, STEREO, Service, write_call


async def run(directory: Path, service: Service, simulated_twilio: SimulatedTwilio, **options: Any) -> list[Outcome]:
    async with serve_on_loopback(service.app()) as url:
        return await replay(
            directory,
            url=url,
            account=ACCOUNT,
            simulated_twilio=simulated_twilio,
            public_url=PUBLIC_URL,
            **options,
        )


@pytest.mark.anyio
async def test_calls_are_replayed_over_http_and_compared(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    write_call(tmp_path / "2-late", JUDGED, not_found_first=2)
    write_call(tmp_path / "3-missing", {"analysis_state": "failed", "reason": "media_missing"}, media=None)
    seen: list[str] = []
    async with serve_on_loopback(Service(simulated_twilio.url).app()) as url:
        outcomes = await replay(
            tmp_path,
            url=url + "/",
            account=ACCOUNT,
            simulated_twilio=simulated_twilio,
            public_url=PUBLIC_URL,
            on_progress=lambda outcome: seen.append(outcome.name),
        )
    assert [(outcome.name, outcome.matched) for outcome in outcomes] == [
        ("1-human", True),
        ("2-late", True),
        ("3-missing", True),
    ]
    assert outcomes[0].confidence == len(STEREO) / 1000
    assert outcomes[2].confidence is None
    assert sorted(seen) == ["1-human", "2-late", "3-missing"]
    # A stereo file is served as dual by default, so the service did not repeat its request for two channels.
    assert all(request.query or request.path.endswith(".json") for request in simulated_twilio.media.requests)


@pytest.mark.anyio
async def test_every_run_has_new_sids_in_every_placeholder(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service(simulated_twilio.url)
    await run(tmp_path, service, simulated_twilio)
    await run(tmp_path, service, simulated_twilio)
    recordings = [form for form in service.forms if "RecordingSid" in form]
    assert len({form["CallSid"] for form in recordings}) == len({form["RecordingSid"] for form in recordings}) == 2
    for form in recordings:
        assert form["AccountSid"] == ACCOUNT.account_sid
        assert (
            form["RecordingUrl"]
            == f"{simulated_twilio.url}/2010-04-01/Accounts/{ACCOUNT.account_sid}/Recordings/{form['RecordingSid']}"
        )


@pytest.mark.anyio
async def test_a_wrong_verdict_is_a_mismatch(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-voicemail", {"analysis_state": "judged", "label": "voicemail", "reason": "confident"})
    (outcome,) = await run(tmp_path, Service(simulated_twilio.url), simulated_twilio, settle_s=0.0)
    assert not outcome.matched
    assert outcome.mismatches == ("label", "reason")
    assert outcome.got["label"] == "human"


@pytest.mark.anyio
async def test_a_final_state_may_still_change(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    first_of_two_recordings: dict[str, JsonValue] = {"analysis_state": "failed", "reason": "no_recording"}
    (outcome,) = await run(tmp_path, Service(simulated_twilio.url, interim=first_of_two_recordings), simulated_twilio)
    assert outcome.matched


@pytest.mark.anyio
async def test_a_call_without_a_verdict_ends_at_the_deadline(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service(simulated_twilio.url)
    service.rows = _Forgetful()
    async with serve_on_loopback(service.app()) as url:
        (outcome,) = await replay(
            tmp_path, url=url, account=ACCOUNT, simulated_twilio=simulated_twilio, public_url=PUBLIC_URL, deadline_s=0.2
        )
    assert outcome.mismatches == ("analysis_state", "label")
    assert 0.2 <= outcome.seconds < 20


class _Forgetful(dict[str, dict[str, JsonValue]]):
    def __setitem__(self, key: str, value: dict[str, JsonValue]) -> None:
        pass


@pytest.mark.anyio
async def test_a_rejected_callback_is_reported_in_the_note(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    (tmp_path / "1-human" / "callbacks.jsonl").write_text(json.dumps({"path": "/elsewhere", "form": []}))
    (outcome,) = await run(tmp_path, Service(simulated_twilio.url), simulated_twilio)
    assert outcome.note == "POST /elsewhere failed with 404"
    assert not outcome.matched


@pytest.mark.anyio
async def test_a_service_that_fetches_from_another_twilio_is_rejected(
    tmp_path: Path, simulated_twilio: SimulatedTwilio
) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service("https://api.twilio.com")
    with pytest.raises(ConfigurationError, match=f"AMD_TWILIO_API_URL={simulated_twilio.url}"):
        await run(tmp_path, service, simulated_twilio)
    assert service.forms == []


@pytest.mark.anyio
async def test_the_api_key_goes_to_the_api_and_not_to_the_webhooks(
    tmp_path: Path, simulated_twilio: SimulatedTwilio
) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    with pytest.raises(ConfigurationError, match="AMD_API_KEYS"):
        await run(tmp_path, Service(simulated_twilio.url, api_key="key"), simulated_twilio)
    (outcome,) = await run(tmp_path, Service(simulated_twilio.url, api_key="key"), simulated_twilio, api_key="key")
    assert outcome.matched


@pytest.mark.anyio
async def test_an_unreachable_service_is_reported(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    async with serve_on_loopback(Starlette()) as gone:
        pass
    with pytest.raises(ConfigurationError, match=f"no service responds at {gone}.*--url"):
        await replay(tmp_path, url=gone, account=ACCOUNT, simulated_twilio=simulated_twilio)


@pytest.mark.anyio
async def test_the_default_url_is_the_address_in_the_settings(tmp_path: Path) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    accounts = {"twilio_account_sid": ACCOUNT.account_sid, "twilio_auth_token": "token"}
    settings = Settings(_env_file=None, host="0.0.0.0", port=1, **accounts)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"no service responds at http://127\.0\.0\.1:1:"):
        await replay_against_running_service(tmp_path, settings, url=None, public_url=None, port=0, as_json=True)


@pytest.mark.anyio
async def test_calls_run_concurrently_up_to_the_limit(tmp_path: Path, simulated_twilio: SimulatedTwilio) -> None:
    for number in range(4):
        write_call(tmp_path / str(number), JUDGED)
    gauge = _Gauge(simulated_twilio.url)
    outcomes = await run(tmp_path, gauge, simulated_twilio, concurrent_calls=2)
    assert all(outcome.matched for outcome in outcomes)
    assert gauge.most == 2


@dataclass
class _Gauge(Service):
    now: int = 0
    most: int = 0
    pairs: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    async def callback(self, request: Request) -> Response:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.pairs.wait()  # a single call waits for a second call
        response = await super().callback(request)
        self.now -= 1
        return response


@pytest.mark.parametrize(
    ("expected", "got", "mismatches"),
    [
        ({"label": "human"}, {"label": "human", "reason": "confident"}, ()),
        ({"label": "human", "reason": "confident"}, {"label": "voicemail"}, ("label", "reason")),
        ({"label": ["human", "undecided"]}, {"label": "undecided"}, ()),
        ({"label": ["human", "undecided"]}, {"label": "voicemail"}, ("label",)),
        ({"label": None}, {"label": None}, ()),
        ({"label": None}, {}, ("label",)),
        ({"channels_mixed": False}, {"channels_mixed": True}, ("channels_mixed",)),
    ],
)
def test_only_the_expected_keys_are_compared(
    expected: dict[str, JsonValue], got: dict[str, JsonValue], mismatches: tuple[str, ...]
) -> None:
    assert compare(expected, got) == mismatches


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("callbacks.jsonl", '{"path": "/x"}'),
        ("callbacks.jsonl", "nonsense"),
        ("expected.json", "[]"),
        ("expected.json", "{}"),
        ("media.json", '{"not_found_frist": 2}'),
    ],
)
def test_an_invalid_fixture_is_reported_with_its_folder(tmp_path: Path, file: str, content: str) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    (tmp_path / "1-human" / file).write_text(content)
    with pytest.raises(ConfigurationError, match="1-human is not a recorded call"):
        load_calls(tmp_path)


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recorded calls"):
        load_calls(tmp_path)


def test_dual_is_available_for_a_wav_header_with_two_channels(tmp_path: Path) -> None:
    write_call(tmp_path / "1-dual", JUDGED)
    write_call(tmp_path / "2-mono", JUDGED, media=STEREO.replace(b"\x01\0\x02\0", b"\x01\0\x01\0"))
    write_call(tmp_path / "3-told", JUDGED, dual_available=False)
    write_call(tmp_path / "4-none", JUDGED, media=None)
    media_files = [call.media_file() for call in load_calls(tmp_path)]
    assert [media_file and media_file.dual_available for media_file in media_files] == [True, False, False, None]
