"""`amd-service simulate` as a process, with a receiver of callbacks in the test."""

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from amd_service.simulator.journal import KEPT_CALLS, Entry, Journal, explain
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.signed_callbacks import CallbackOutcome
from amd_service.simulator.twiml_playback import TwimlPlayback
from tests.support.fixture_calls import CALLS
from tests.support.simulate_process import SimulateProcess, run_simulate

pytestmark = pytest.mark.anyio


@dataclass
class Receiver:
    """A backend: answers with `twiml` by path, and keeps the requests. `url`: its address."""

    twiml: dict[str, str] = field(default_factory=dict)
    url: str = ""
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)

    async def respond(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        signature = request.headers["x-twilio-signature"]
        self.requests.append((request.method, str(request.url), form, signature))
        twiml = self.twiml.get(request.url.path)
        return (
            Response(status_code=404 if request.url.path == "/missing" else 204) if twiml is None else Response(twiml)
        )

    @property
    def forms(self) -> list[dict[str, str]]:
        return [form for _, _, form, _ in self.requests]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = Starlette(routes=[Route("/{path:path}", made.respond, methods=["GET", "POST"])])
    async with serve_on_loopback(app) as url:
        made.url = url
        yield made


def credentials(simulate: SimulateProcess) -> tuple[str, str]:
    return simulate.environment["TWILIO_ACCOUNT_SID"], simulate.environment["TWILIO_AUTH_TOKEN"]


async def create_call(simulate: SimulateProcess, **form: str) -> httpx2.Response:
    sid, token = credentials(simulate)
    async with httpx2.AsyncClient(trust_env=False, auth=(sid, token)) as client:
        return await client.post(
            f"{simulate.url}/2010-04-01/Accounts/{sid}/Calls.json", data={"From": "+15005550006", **form}
        )


async def test_a_placed_call_sends_signed_callbacks_serves_its_recording_and_is_shown(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with run_simulate(str(CALLS), cwd=tmp_path) as simulate:
        assert simulate.environment["AMD_MODEL"] == "demo"
        sid, token = credentials(simulate)
        created = await create_call(
            simulate,
            To="+15005550107",
            Twiml="<Response/>",
            Record="true",
            StatusCallback=f"{receiver.url}/status",
            RecordingStatusCallback=f"{receiver.url}/recording",
        )
        assert created.status_code == 201
        events = await simulate.events_until("ended")
        assert events[0]["recorded_call"] == "07-voicemail-carrier"
        assert [form.get("CallStatus") or form["RecordingStatus"] for form in receiver.forms] == ["completed"] * 2
        for method, url, form, signature in receiver.requests:
            assert (method, RequestValidator(token).compute_signature(url, form)) == ("POST", signature)
        async with httpx2.AsyncClient(trust_env=False) as client:
            media = await client.get(receiver.forms[1]["RecordingUrl"] + ".wav", auth=(sid, token))
            assert media.content == (CALLS / "07-voicemail-carrier" / "recording.wav").read_bytes()
            assert (await client.get(receiver.forms[1]["RecordingUrl"] + ".wav")).status_code == 401
            page = (await client.get(simulate.url)).json()
        (shown,) = page["calls"]
        assert (shown["sid"], shown["status"]) == (created.json()["sid"], "completed")
        assert [event["event"] for event in shown["events"]] == ["placed", "callback", "callback", "ended"]
        assert token not in str(page)


@pytest.mark.slow
async def test_callbacks_to_another_machine_are_not_sent_and_bad_urls_do_not_stop_the_command(tmp_path: Path) -> None:
    async with run_simulate(str(CALLS / "26-no-answer"), cwd=tmp_path) as simulate:
        for url, reason in {
            "https://amd.example.com/twilio/status": "host is not loopback",
            "/twilio/status": "not an absolute URL",
            "http://127.0.0.1:1/twilio/status": "no response (ct)",
        }.items():
            await create_call(simulate, To="+15005550199", Twiml="<Response/>", StatusCallback=url)
            assert any(reason in event["text"] for event in await simulate.events_until("ended"))


@pytest.mark.slow
async def test_a_bad_url_in_the_twiml_fails_the_call_and_not_the_command(tmp_path: Path) -> None:
    async with run_simulate(str(CALLS / "01-human-hello"), cwd=tmp_path) as simulate:
        for verb in ("<Redirect>http://[bad/</Redirect>", '<Start><Stream url="ws://[bad/"/></Start>'):
            created = await create_call(simulate, To="+15005550101", Twiml=f"<Response>{verb}</Response>")
            events = await simulate.events_until("ended")
            assert ("failed", "Invalid IPv6 URL") in [(event["event"], event["text"]) for event in events]
            assert events[-1]["call_sid"] == created.json()["sid"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_the_command_stops_cleanly_during_a_call(
    tmp_path: Path, number: signal.Signals, receiver: Receiver
) -> None:
    settings = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "secret", "AMD_MODEL": "/models/own"}
    async with run_simulate(str(CALLS / "13-voicemail-after-seven-seconds"), cwd=tmp_path, **settings) as simulate:
        # The user has set the token and the model already.
        assert not {"TWILIO_AUTH_TOKEN", "AMD_MODEL"} & simulate.environment.keys()
        async with httpx2.AsyncClient(trust_env=False, auth=("AC" + "1" * 32, "secret")) as client:
            await client.post(
                f"{simulate.url}/2010-04-01/Accounts/AC{'1' * 32}/Calls.json",
                data={"To": "+15005550113", "From": "+15005550006", "Url": f"{receiver.url}/missing"},
            )
        events = await simulate.events_until("twiml")
        assert events[-1]["status"] == 404
        simulate.process.send_signal(number)
        assert simulate.process.stderr is not None
        assert await simulate.process.stderr.read() == b""
        assert await simulate.process.wait() == 0


async def test_twiml_is_requested_as_twilio_does_and_redirects_are_followed(receiver: Receiver) -> None:
    receiver.twiml = {
        "/first": f'<Response><Redirect method="GET">{receiver.url}/second?a=1</Redirect></Response>',
        "/second": "<Response><Redirect>third</Redirect></Response>",
        "/third": "<Response><Say>Hello</Say><Redirect>/never</Redirect></Response>",
    }
    call = SimulatedCall(account_sid="AC" + "1" * 32, form=[("Url", f"{receiver.url}/first#rc=3")])
    async with httpx2.AsyncClient(trust_env=False) as client:
        await TwimlPlayback(client, Journal(lambda _entry: None), "token", 16.0).play(call, b"")
    asked = [(method, url.partition("&")[0].removeprefix(receiver.url)) for method, url, _, _ in receiver.requests]
    assert asked == [("POST", "/first"), ("GET", "/second?a=1"), ("POST", "/third")]
    for _, url, form, signature in receiver.requests:
        assert RequestValidator("token").compute_signature(url, form) == signature
    assert urlencode({"CallSid": call.sid}) in receiver.requests[1][1]


async def test_endless_redirects_end(receiver: Receiver) -> None:
    receiver.twiml = {"/loop": "<Response><Redirect/></Response>"}
    call = SimulatedCall(account_sid="AC" + "1" * 32, form=[("Url", f"{receiver.url}/loop")])
    async with httpx2.AsyncClient(trust_env=False) as client:
        await TwimlPlayback(client, Journal(lambda _entry: None), "token", 16.0).play(call, b"")
    assert len(receiver.requests) == 6


async def test_a_call_that_left_the_status_page_is_shown_on_the_terminal_only() -> None:
    shown: list[Entry] = []
    journal = Journal(shown.append)
    sids = [f"CA{number}" for number in range(KEPT_CALLS + 2)]
    for sid in sids:
        journal.begin(sid, "+15005550199", "01-human-hello")
    for sid in sids:
        journal.add(sid, "ended", "completed")
    journal.begin("CA-new", "+15005550199", "01-human-hello")
    assert [entry.call_sid for entry in shown if entry.event == "ended"] == sids
    assert [sid for sid, _ in journal.newest_first()] == ["CA-new", *reversed(sids[3:])]
    assert set(journal.recorded_calls) == {"CA-new", *sids[3:]}


async def test_a_refused_callback_names_both_credentials() -> None:
    text = explain("http://127.0.0.1:8080/twilio/status", CallbackOutcome(403, "4xx", 1), cure="set AMD_PUBLIC_URL")
    assert text.startswith("403: set the same TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN for the service, and ")
