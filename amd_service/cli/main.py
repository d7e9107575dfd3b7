"""The door for people. Imports what a command needs inside the command, so that `--help` answers at once."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from amd_service import __version__

T = TypeVar("T")

app = typer.Typer(
    name="amd-service",
    help="Answering-machine detection for outbound Twilio calls: human or voicemail.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
model_app = typer.Typer(no_args_is_help=True, help="Get and check the model.")
app.add_typer(model_app, name="model")

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
LiveFlag = Annotated[bool, typer.Option("--live", help="Also stream each call while it is up (AMD_LIVE).")]
Pace = Annotated[float, typer.Option(min=0.1, max=16, help="With --live: times faster than real time.")]


def main() -> None:
    """Entry point: deliberate errors become one line on stderr and exit code 2."""
    try:
        app()
    except Exception as error:
        from amd_service.errors import AmdError

        if not isinstance(error, AmdError):
            raise
        typer.echo(f"amd-service: {error}", err=True)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


@app.command()
def serve(
    worker: Annotated[bool, typer.Option(help="Also work off the queue in this process.")] = True,
) -> None:
    """Take callbacks, answer the API and, by default, judge recordings."""
    from amd_service.web import server

    settings = _settings_with_logs()
    _run(server.serve(settings, with_worker=worker))
    end_despite_threads()


@app.command()
def worker() -> None:
    """Judge recordings, with a port of its own for health and metrics."""
    from amd_service.web import server

    _run(server.work(_settings_with_logs()))
    end_despite_threads()


@app.command()
def migrate(
    dashboard_role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Also create a role that may read `call_log`, `call_log_agreement` and nothing else."
        ),
    ] = None,
) -> None:
    """Bring the database schema up to date."""
    from amd_service.runtime import migrate_database

    _run(migrate_database(_settings_with_logs(), dashboard_role))


@app.command()
def requeue(
    reason: Annotated[
        str | None, typer.Option(help="Only recordings that ended with this reason, e.g. unauthorised.")
    ] = None,
) -> None:
    """Put recordings that ended without a verdict up for work again, after their cause was mended."""
    from amd_service.runtime import requeue_failed

    typer.echo(f"{_run(requeue_failed(_settings_with_logs(quiet=True), reason))} recording(s) are up for work again")


@app.command()
def reconcile(
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: minutes, hours or days, e.g. 90m.")] = "24h",
    as_json: JsonFlag = False,
) -> None:
    """Ask Twilio for what its callbacks left out. Exits 1 when an account could not be asked to the end."""
    from amd_service.cli.reconcile import print_catch_up

    if not _run(print_catch_up(_settings_with_logs(quiet=True), since, as_json=as_json)):
        raise typer.Exit(1)


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Recorded calls.", exists=True, file_okay=False)
    ] = Path("fixtures/calls"),
    model: Annotated[str, typer.Option(help="Hub id, folder, or `demo`.")] = "demo",
    live: LiveFlag = False,
    pace: Pace = 4.0,
    as_json: JsonFlag = False,
) -> None:
    """Run the whole flow on recorded calls with a throwaway database. Exits 1 unless all end as expected."""
    from amd_service.simulator.demo import run_demo

    if not _run(run_demo(directory, model=model, live_pace=pace if live else None, as_json=as_json)):
        raise typer.Exit(1)


@app.command()
def replay(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Recorded calls, see fixtures/calls.", exists=True, file_okay=False)
    ],
    url: Annotated[str | None, typer.Option(help="The running service; else where AMD_HOST and AMD_PORT say.")] = None,
    public_url: Annotated[str | None, typer.Option(help="Its AMD_PUBLIC_URL, where that differs from --url.")] = None,
    port: Annotated[
        int, typer.Option(help="Port of the stand-in for Twilio, to which AMD_TWILIO_API_URL points.")
    ] = 8099,
    live: LiveFlag = False,
    pace: Pace = 4.0,
    as_json: JsonFlag = False,
) -> None:
    """Send recorded calls to a running service and compare. Exits 1 on any mismatch."""
    from amd_service.simulator.run_replay import replay_against_running_service

    settings, live_pace = _settings_with_logs(quiet=True), pace if live else None
    if not _run(
        replay_against_running_service(
            directory, settings, url=url, public_url=public_url, port=port, live_pace=live_pace, as_json=as_json
        )
    ):
        raise typer.Exit(1)


@app.command()
def classify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="WAV, MP3 or .ulaw files.", exists=True, dir_okay=False)
    ],
    model: Annotated[str | None, typer.Option(help="Instead of AMD_MODEL: hub id, folder, or `demo`.")] = None,
    channel: Annotated[int | None, typer.Option(min=1, max=2, help="The called party in dual-channel files.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge audio files on this machine. Exits 1 if any could not be decoded."""
    from amd_service.cli.classify import print_verdicts

    settings = _settings_with_logs(quiet=True, **({"model": model} if model else {}))
    if not _run(print_verdicts(files, settings, channel=channel, as_json=as_json)):
        raise typer.Exit(1)


@app.command()
def call(
    to: Annotated[str, typer.Argument(metavar="TO", help="Who is called, e.g. +15005550010; see AMD_DIAL_PREFIXES.")],
    from_number: Annotated[str, typer.Option("--from", metavar="NUMBER", help="A number of the account.")],
    url: Annotated[str | None, typer.Option(help="Where Twilio asks for the TwiML that is played.")] = None,
    twiml: Annotated[str | None, typer.Option(help="That TwiML itself, at most 4000 characters.")] = None,
    account: Annotated[str | None, typer.Option(metavar="AC…", help="Which account, where there are several.")] = None,
    track: Annotated[str, typer.Option(help="Record `inbound`, the called party alone, or `both`.")] = "inbound",
    twilio_amd: Annotated[bool, typer.Option("--twilio-amd", help="Twilio's own detection beside ours.")] = False,
    ring_s: Annotated[int, typer.Option(help="For how long it may ring.")] = 60,
    key: Annotated[str | None, typer.Option(help="Idempotency key: a second time it places no second call.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the call to its verdict.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for it.")] = 300.0,
    as_json: JsonFlag = False,
) -> None:
    """Place a call. Exits 0 when it is placed (with --wait: judged), 1 without a verdict, 2 when nothing was done.

    Exits 3 when it is not known, now or since an earlier try with the same key: the call may have been placed, and must
    not be asked for again blindly.
    """
    from amd_service.cli.call import place_and_follow
    from amd_service.errors import IdempotencyKeyInUse, OutcomeUnknown
    from amd_service.twilio.call_request import make_call_request

    settings, wait_s = _settings_with_logs(quiet=True), timeout if wait else None
    request = make_call_request(
        to=to,
        from_number=from_number,
        url=url,
        twiml=twiml,
        account_sid=account,
        track=track,
        twilio_amd=twilio_amd,
        ring_s=ring_s,
    )
    try:
        well = _run(place_and_follow(request, settings, key=key, wait_s=wait_s, as_json=as_json))
    except (OutcomeUnknown, IdempotencyKeyInUse) as error:
        typer.echo(f"amd-service: {error}", err=True)
        raise typer.Exit(3) from error
    if not well:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: JsonFlag = False) -> None:
    """Check settings, credentials, database and model, and say what to do. Exits 1 if anything fails."""
    from amd_service.cli.doctor import print_findings, print_unreadable
    from amd_service.errors import ConfigurationError

    try:
        settings = _settings_with_logs(quiet=True)
    except ConfigurationError as error:
        print_unreadable(error, as_json=as_json)
        raise typer.Exit(1) from error
    if not _run(print_findings(settings, as_json=as_json)):
        raise typer.Exit(1)


@model_app.command()
def pull() -> None:
    """Download AMD_MODEL ahead of time and verify it."""
    from amd_service.detection.classifier.model import pull as pull_model

    files = pull_model(_settings_with_logs(quiet=True))
    typer.echo(f"{files.id} {files.revision or ''} is in {files.folder}\nweights sha256 {files.weights_sha256}")


@model_app.command()
def export(
    engine: Annotated[str, typer.Option(help="onnx, openvino or torch.")],
    precision: Annotated[str, typer.Option(help="fp32, bf16 or int8, as far as the engine has it.")],
    windows: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Your own recordings to calibrate and gate with.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Build and gate anew.")] = False,
) -> None:
    """Build a faster engine of AMD_MODEL and gate it against the reference. Exits 1 if it did not pass."""
    from amd_service.lab.export.run import export as export_engine

    settings = _settings_with_logs(quiet=True)
    if not export_engine(settings, engine=engine, precision=precision, windows_dir=windows, again=again).passed:
        raise typer.Exit(1)


def _settings_with_logs(*, quiet: bool = False, **overrides: Any) -> Any:
    from amd_service.settings import load_settings
    from amd_service.settings.unknown_names import unknown_name_warnings
    from amd_service.telemetry import configure_logging, get_logger

    settings = load_settings(**overrides)
    configure_logging(log_format=settings.log_format, level="warning" if quiet else settings.log_level)
    for line in unknown_name_warnings():
        get_logger(__name__).warning(line)
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_until_sigterm(work))
        except asyncio.CancelledError:
            raise SystemExit(128 + signal.SIGTERM) from None


async def _until_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM cancels the work, so that what it started (a child, a Postgres) is ended. `serve` has its own way."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def end_despite_threads() -> None:
    """End the process with 0 at once where a thread was left behind, e.g. one that is loading the model.

    The interpreter's own way of ending takes a thread's native code from under it, which then aborts the process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
