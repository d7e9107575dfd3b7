import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amd_service.domain import RecordingSid
from amd_service.errors import ConfigurationError, MediaNotYet
from amd_service.lab import replay as replaying
from amd_service.lab.recorded_calls import load_calls
from amd_service.lab.replay import Outcome, compare, replay
from amd_service.lab.stand_in.media_host import MediaHost
from amd_service.lab.stand_in.server import StandIn, serve_on_loopback, serve_stand_in
from amd_service.settings import Account, Settings
from amd_service.twilio.callbacks import parse_form
from amd_service.twilio.recordings import Recordings, Rules, http_client
from amd_service.twilio.signature import verify

AC = "AC" + "a" * 32
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"]})
WHOLE = Rules(known=lambda _prefix, _type: True, enough=lambda _prefix: False)
PUBLIC_URL = "https://amd.example.com"
STEREO = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0" + bytes(100)


def write_call(
    folder: Path, expected: Mapping[str, JsonValue], *, media: bytes | None = STEREO, **serving: object
) -> None:
    folder.mkdir(parents=True)
    identity = [["CallSid", "{call_sid}"], ["AccountSid", "{account_sid}"]]
    recording = [*identity, ["RecordingSid", "{recording_sid}"], ["RecordingUrl", "{recording_url}"]]
    callbacks = [{"path": "/twilio/status", "form": identity}, {"path": "/twilio/recording", "form": recording}]
    (folder / "callbacks.jsonl").write_text("\n".join(map(json.dumps, callbacks)) + "\n")
    (folder / "expected.json").write_text(json.dumps(expected))
    if media is not None:
        (folder / "recording.wav").write_bytes(media)
    if serving:
        (folder / "media.json").write_text(json.dumps(serving))


@dataclass
class Service:
    """A service as replay sees one: checks signatures, fetches the recording, calls everybody human."""

    twilio_api_url: str
    api_key: str | None = None
    interim: dict[str, JsonValue] | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    rows: dict[str, dict[str, JsonValue]] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/model-info", self.model_info),
                Route("/api/calls/{sid}", self.call),
                Route("/twilio/{route}", self.callback, methods=["POST"]),
            ]
        )

    def _may_ask(self, request: Request) -> bool:
        return self.api_key is None or request.headers.get("authorization") == f"Bearer {self.api_key}"

    async def model_info(self, request: Request) -> Response:
        if not self._may_ask(request):
            return Response(status_code=401)
        return JSONResponse({"twilio_api_url": self.twilio_api_url})

    async def call(self, request: Request) -> Response:
        if not self._may_ask(request):
            return Response(status_code=401)
        row = self.rows.get(request.path_params["sid"])
        if self.interim is not None:
            row, self.interim = self.interim, None
        return Response(status_code=404) if row is None else JSONResponse(row)

    async def callback(self, request: Request) -> Response:
        form = parse_form(await request.body())
        verify({ACCOUNT.account_sid: ACCOUNT}, PUBLIC_URL, request.scope["raw_path"], b"", form, request.headers)
        assert "authorization" not in request.headers
        self.forms.append(dict(form))
        if request.path_params["route"] == "recording":
            fields = dict(form)
            self.rows[fields["CallSid"]] = await self._judge(RecordingSid(fields["RecordingSid"]))
        return Response(status_code=204)

    async def _judge(self, recording_sid: RecordingSid) -> dict[str, JsonValue]:
        settings = Settings(_env_file=None, twilio_api_url=self.twilio_api_url)
        async with http_client(settings) as client:
            recordings = Recordings(client, settings)
            for _attempt in range(3):
                try:
                    media = await recordings.fetch(ACCOUNT, recording_sid, want_dual=True, rules=WHOLE)
                except MediaNotYet:
                    continue
                return {"analysis_state": "judged", "label": "human", "confidence": len(media.data) / 1000}
        return {"analysis_state": "failed", "reason": "media_missing", "confidence": None}


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with serve_stand_in(MediaHost({AC: ACCOUNT.basic_auth})) as running:
        yield running
    assert running.media.violations == []


async def run(directory: Path, service: Service, stand_in: StandIn, api_key: str | None = None) -> list[Outcome]:
    async with serve_on_loopback(service.app()) as url:
        return await replay(
            directory, url=url, account=ACCOUNT, stand_in=stand_in, public_url=PUBLIC_URL, api_key=api_key
        )


JUDGED: dict[str, JsonValue] = {"analysis_state": "judged", "label": "human"}


@pytest.mark.anyio
async def test_calls_are_replayed_over_http_and_compared(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    write_call(tmp_path / "2-late", JUDGED, not_found_first=2)
    write_call(tmp_path / "3-missing", {"analysis_state": "failed", "reason": "media_missing"}, media=None)
    seen: list[str] = []
    async with serve_on_loopback(Service(stand_in.url).app()) as url:
        outcomes = await replay(
            tmp_path,
            url=url + "/",
            account=ACCOUNT,
            stand_in=stand_in,
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
    # Stereo is served as dual without being told so, so the question for two channels was never repeated.
    assert all(request.query or request.path.endswith(".json") for request in stand_in.media.requests)


@pytest.mark.anyio
async def test_every_run_has_fresh_sids_in_every_placeholder(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service(stand_in.url)
    await run(tmp_path, service, stand_in)
    await run(tmp_path, service, stand_in)
    recordings = [form for form in service.forms if "RecordingSid" in form]
    assert len({form["CallSid"] for form in recordings}) == len({form["RecordingSid"] for form in recordings}) == 2
    for form in recordings:
        assert form["AccountSid"] == AC
        assert form["RecordingUrl"] == f"{stand_in.url}/2010-04-01/Accounts/{AC}/Recordings/{form['RecordingSid']}"


@pytest.mark.anyio
async def test_a_wrong_verdict_is_a_mismatch(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "SETTLE_S", 0.0)
    write_call(tmp_path / "1-voicemail", {"analysis_state": "judged", "label": "voicemail", "reason": "confident"})
    (outcome,) = await run(tmp_path, Service(stand_in.url), stand_in)
    assert not outcome.matched
    assert outcome.mismatches == ("label", "reason")
    assert outcome.got["label"] == "human"


@pytest.mark.anyio
async def test_a_final_state_that_changes_is_waited_for(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    first_of_two_recordings: dict[str, JsonValue] = {"analysis_state": "failed", "reason": "no_recording"}
    (outcome,) = await run(tmp_path, Service(stand_in.url, interim=first_of_two_recordings), stand_in)
    assert outcome.matched


@pytest.mark.anyio
async def test_a_call_without_a_verdict_ends_at_the_deadline(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service(stand_in.url)
    service.rows = _Forgetful()
    async with serve_on_loopback(service.app()) as url:
        (outcome,) = await replay(
            tmp_path, url=url, account=ACCOUNT, stand_in=stand_in, public_url=PUBLIC_URL, deadline_s=0.2
        )
    assert outcome.mismatches == ("analysis_state", "label")
    assert 0.2 <= outcome.seconds < 2


class _Forgetful(dict[str, dict[str, JsonValue]]):
    def __setitem__(self, key: str, value: dict[str, JsonValue]) -> None:
        pass


@pytest.mark.anyio
async def test_a_refused_callback_is_noted(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    (tmp_path / "1-human" / "callbacks.jsonl").write_text(json.dumps({"path": "/elsewhere", "form": []}))
    (outcome,) = await run(tmp_path, Service(stand_in.url), stand_in)
    assert outcome.note == "POST /elsewhere was answered 404"
    assert not outcome.matched


@pytest.mark.anyio
async def test_a_service_that_asks_another_twilio_is_refused(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    service = Service("https://api.twilio.com")
    with pytest.raises(ConfigurationError, match=f"AMD_TWILIO_API_URL={stand_in.url}"):
        await run(tmp_path, service, stand_in)
    assert service.forms == []


@pytest.mark.anyio
async def test_the_api_key_goes_to_the_api_and_not_to_the_webhooks(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    with pytest.raises(ConfigurationError, match="AMD_API_KEYS"):
        await run(tmp_path, Service(stand_in.url, api_key="key"), stand_in)
    (outcome,) = await run(tmp_path, Service(stand_in.url, api_key="key"), stand_in, api_key="key")
    assert outcome.matched


@pytest.mark.anyio
async def test_no_service_is_said_so(tmp_path: Path, stand_in: StandIn) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    async with serve_on_loopback(Starlette()) as gone:
        pass
    with pytest.raises(ConfigurationError, match="no service answers"):
        await replay(tmp_path, url=gone, account=ACCOUNT, stand_in=stand_in)


@pytest.mark.anyio
async def test_calls_run_side_by_side_but_not_all_at_once(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "CONCURRENT_CALLS", 2)
    for number in range(4):
        write_call(tmp_path / str(number), JUDGED)
    gauge = _Gauge(stand_in.url)
    outcomes = await run(tmp_path, gauge, stand_in)
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
        await self.pairs.wait()  # nobody passes alone
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
def test_a_broken_fixture_is_named(tmp_path: Path, file: str, content: str) -> None:
    write_call(tmp_path / "1-human", JUDGED)
    (tmp_path / "1-human" / file).write_text(content)
    with pytest.raises(ConfigurationError, match="1-human is not a recorded call"):
        load_calls(tmp_path)


def test_an_empty_directory_is_not_a_success(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recorded calls"):
        load_calls(tmp_path)


def test_the_wav_header_says_whether_dual_is_available(tmp_path: Path) -> None:
    write_call(tmp_path / "1-dual", JUDGED)
    write_call(tmp_path / "2-mono", JUDGED, media=STEREO.replace(b"\x01\0\x02\0", b"\x01\0\x01\0"))
    write_call(tmp_path / "3-told", JUDGED, dual_available=False)
    write_call(tmp_path / "4-none", JUDGED, media=None)
    reels = [call.reel() for call in load_calls(tmp_path)]
    assert [reel and reel.dual_available for reel in reels] == [True, False, False, None]
