"""The entry point of `amd-service`: registers the commands and prints expected errors."""

import sys
from typing import Annotated

import typer

from amd_service import __version__
from amd_service.cli import dataset, deliveries, key, model, person
from amd_service.cli.call import call
from amd_service.cli.classify import classify
from amd_service.cli.demo import demo
from amd_service.cli.doctor.command import doctor
from amd_service.cli.evaluate import evaluate
from amd_service.cli.fixture import fixture
from amd_service.cli.migrate import migrate
from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import prepare_output
from amd_service.cli.reconcile import reconcile
from amd_service.cli.rejudge import rejudge
from amd_service.cli.replay import replay
from amd_service.cli.requeue import requeue
from amd_service.cli.serve import serve
from amd_service.cli.simulate import simulate
from amd_service.cli.train import train
from amd_service.cli.whatif import whatif
from amd_service.cli.worker import worker

# `--help` lists the commands in this order.
COMMANDS = (
    serve,
    worker,
    migrate,
    requeue,
    rejudge,
    reconcile,
    demo,
    simulate,
    replay,
    fixture,
    classify,
    evaluate,
    call,
    train,
    whatif,
    doctor,
)

app = typer.Typer(
    name="amd-service",
    help="Answering-machine detection for outbound Twilio calls: human or voicemail.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # In Markdown, a single line break of a docstring is a space.
    rich_markup_mode="markdown",
    cls=PlainGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command(cls=PlainCommand)(command)
for name, group in (
    ("person", person),
    ("key", key),
    ("deliveries", deliveries),
    ("model", model),
    ("dataset", dataset),
):
    app.add_typer(group.app, name=name)


def main() -> None:
    """Run a command. If the command raises an AmdError, print it to stderr and exit with code 2."""
    prepare_output()
    try:
        app()
    except Exception as error:
        from amd_service.errors import AmdError
        from amd_service.telemetry.command_name import with_command_name

        if not isinstance(error, AmdError):
            raise
        for line in with_command_name(str(error)).splitlines():
            typer.echo(f"amd-service: {line}", err=True)
        sys.exit(2)


def print_version(wanted: bool) -> None:
    """Print the version and exit if `--version` was given."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
