"""The demo: replays recorded calls with the whole service, a throwaway Postgres and the simulated Twilio."""

from pathlib import Path

from rich.console import Console

from amd_service.database.opening import throwaway_database
from amd_service.detection.classifier.hub import DEMO
from amd_service.simulator.run_replay import run_replay
from amd_service.simulator.service_process import COMMAND, run_service
from amd_service.simulator.stop_signal import wait_for_signal
from amd_service.simulator.twilio.loopback_server import serve_simulated_twilio
from amd_service.simulator.twilio.media_host import MediaHost
from amd_service.simulator.twilio.resources import make_account


async def run_demo(
    directory: Path, *, model: str, live_pace: float | None = None, keep: bool = False, as_json: bool
) -> bool:
    """Replay the calls in `directory` against a new service process, and print how each call ended.

    `live_pace`: also stream the calls while they are in progress, this many times faster than real time. `keep`: then
    wait for SIGINT or SIGTERM, so that the pages of the service can show the calls. Returns whether all calls ended as
    expected.
    """
    account = make_account()
    console = Console(stderr=True)
    console.print("Starting a throwaway Postgres, a simulated Twilio, and the service …")
    console.print("The first start reads PyTorch from the disk, which can take minutes.")
    async with (
        throwaway_database() as database_url,
        serve_simulated_twilio(MediaHost({account.account_sid: account.basic_auth})) as simulated_twilio,
        run_service(
            (*COMMAND, "serve"),
            database_url=database_url,
            simulated_twilio=simulated_twilio,
            account=account,
            model=resolve_model(model),
            live=live_pace is not None,
            # One recorded call has XML instead of audio, which is retried until no attempt is left.
            job_retry_base_s=0.03,
            # So few calls need no sample: all of them can be reviewed.
            review_sample=1,
        ) as service,
    ):
        await service.wait_until_ready()
        is_as_expected = await run_replay(
            directory,
            url=service.url,
            account=account,
            simulated_twilio=simulated_twilio,
            live_pace=live_pace,
            as_json=as_json,
        )
        if keep:
            console.print(f"\nOpen {service.url}/calls to listen to these calls and correct verdicts.", soft_wrap=True)
            console.print("Ctrl-C ends the service and deletes the calls.")
            await wait_for_signal()
        return is_as_expected


def resolve_model(model: str) -> str:
    """Make the path of a model folder absolute, for a process in another directory. Other names stay unchanged."""
    return str(Path(model).resolve()) if model != DEMO and Path(model).is_dir() else model
