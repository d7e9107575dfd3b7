"""Keeps a simulated Twilio running: places calls, plays recordings, and sends callbacks and streams."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import httpx2
from rich.console import Console

from amd_service.detection.bundled_calls import bundled_calls
from amd_service.domain import AccountSid, CallStatus
from amd_service.settings import Account, Settings, is_loopback
from amd_service.simulator.call_library import CallLibrary, audio_seconds, dialled_number, load_library, scenario_of
from amd_service.simulator.called_party_audio import called_party_audio
from amd_service.simulator.journal import Entry, Journal
from amd_service.simulator.recorded_calls import RecordedCall
from amd_service.simulator.status_page import status_route
from amd_service.simulator.stop_signal import wait_for_signal
from amd_service.simulator.twilio.call_simulation import simulate_call
from amd_service.simulator.twilio.loopback_server import serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.resources import SimulatedCall, make_account
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twiml_playback import TwimlPlayback

POLL_S = 0.05


class LoopbackTransport(httpx2.AsyncHTTPTransport):
    """Refuses every host that is not loopback.

    Without this rule, a trial with the settings of a production service would send that service signed callbacks about
    calls that do not exist.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not is_loopback(request.url.host):
            raise httpx2.ConnectError(f"{request.url.host} is not loopback")
        return await super().handle_async_request(request)


async def simulate(path: Path | None, settings: Settings, *, port: int, pace: float, as_json: bool) -> None:
    """Serve a simulated Twilio on 127.0.0.1 until SIGINT or SIGTERM. Prints the service's settings, then every event.

    `path`: see `load_library`; None means the calls that come with the service. The accounts are those of the settings,
    or a new account. `pace`: how many times faster than real time the calls are. Raises ConfigurationError.
    """
    library = load_library(path or bundled_calls())
    accounts: Mapping[AccountSid, Account] = settings.accounts or {(new := make_account()).account_sid: new}
    media = MediaHost({account.account_sid: account.basic_auth for account in accounts.values()})
    rest, journal = RestApi(media), Journal(partial(_print_entry, Console(), as_json=as_json))
    async with (
        httpx2.AsyncClient(transport=LoopbackTransport()) as client,
        serve_simulated_twilio(media, rest=rest, routes=[status_route(rest, library, journal)], port=port) as server,
        asyncio.TaskGroup() as group,
    ):
        runner = _CallRunner(server.url, rest, library, accounts, client, journal, pace)
        tasks: set[asyncio.Task[None]] = set()

        async def start(call: SimulatedCall) -> None:
            tasks.add(task := group.create_task(runner.run(call)))
            task.add_done_callback(tasks.discard)

        rest.on_created = start
        environment = _environment(
            server.url, settings, accounts, demo_model=path is None or "model" not in settings.model_fields_set
        )
        _print_start(server.url, environment, settings, library, as_json=as_json)
        await wait_for_signal()
        for task in tasks:
            task.cancel()


@dataclass(frozen=True, slots=True)
class _CallRunner:
    """Runs placed calls from their creation to their end. `url`: of the simulated Twilio."""

    url: str
    rest: RestApi
    library: CallLibrary
    accounts: Mapping[AccountSid, Account]
    client: httpx2.AsyncClient
    journal: Journal
    pace: float

    async def run(self, call: SimulatedCall) -> None:
        recorded = self.library.choose(call.to_number)
        self.journal.begin(call.sid, call.to_number, recorded.name)
        account = self.accounts[AccountSid(call.account_sid)]
        token = account.auth_tokens[0].get_secret_value()
        playback = TwimlPlayback(self.client, self.journal, token, self.pace)
        try:
            await simulate_call(
                self.rest,
                call,
                replace(scenario_of(recorded), while_in_progress=partial(self._talk, playback, recorded, account)),
                token=token,
                client=self.client,
                api_url=self.url,
                on_sent=self.journal.add_callback,
            )
        except* (ValueError, httpx2.InvalidURL, httpx2.RequestError) as errors:  # `_talk` raises groups
            self.journal.add(call.sid, "failed", str(errors.exceptions[0]))
            call.end(CallStatus.FAILED)
        self.journal.add(call.sid, "ended", call.status)

    async def _talk(
        self, playback: TwimlPlayback, recorded: RecordedCall, account: Account, call: SimulatedCall
    ) -> None:
        """Keep the call in progress until the recording has ended, or the service has hung up."""
        ends_at = monotonic() + audio_seconds(recorded) / self.pace
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(playback.play(call, called_party_audio(recorded, account)))
            while not call.is_over and (monotonic() < ends_at or not playing.done()):  # noqa: ASYNC110 - a deadline too
                await asyncio.sleep(POLL_S)
            playing.cancel()


def _environment(
    url: str, settings: Settings, accounts: Mapping[AccountSid, Account], *, demo_model: bool
) -> dict[str, str]:
    """Return the variables that the service needs to use the simulated Twilio. Configured secrets are not repeated."""
    account = next(iter(accounts.values()))
    credentials = {
        "TWILIO_ACCOUNT_SID": account.account_sid,
        "TWILIO_AUTH_TOKEN": account.auth_tokens[0].get_secret_value(),
    }
    return {
        "AMD_TWILIO_API_URL": url,
        "AMD_PUBLIC_URL": settings.local_url if settings.is_published else settings.public_url or settings.local_url,
        "AMD_DIAL_PREFIXES": "+1500555",
        **({} if settings.accounts else credentials),
        **({"AMD_MODEL": "demo"} if demo_model else {}),
    }


def _print_start(
    url: str, environment: Mapping[str, str], settings: Settings, library: CallLibrary, *, as_json: bool
) -> None:
    if as_json:
        print(json.dumps({"event": "listening", "url": url, "environment": dict(environment)}), flush=True)  # noqa: T201
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"The simulated Twilio listens on {url}. This address shows its calls. Ctrl-C stops it.")
    if any(dialled_number(call) for call in library.calls):
        console.print("The dialled number chooses the recording; other numbers get the recordings in turn.")
    console.print("\nSet these variables for `amd-service serve` and `amd-service call`:\n")
    for name, value in environment.items():
        console.print(f"export {name}={value}")
    if "AMD_MODEL" in environment:
        console.print(
            "\nAMD_MODEL=demo is the demonstration model, trained on synthetic speech. For the production model, leave "
            "out this line, or set AMD_MODEL to the hub id or the folder of a model."
        )
    if settings.accounts:
        console.print(f"\nThe account is {', '.join(settings.accounts)}, as in your settings.")
    if settings.database_url is not None:
        console.print("\nYour settings contain AMD_DATABASE_URL: the service will store the simulated calls there.")
    console.print()


def _print_entry(console: Console, entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(entry.as_json()), flush=True)  # noqa: T201 - the command's output
    else:
        console.print(entry.as_line(), highlight=False, markup=False, soft_wrap=True)
