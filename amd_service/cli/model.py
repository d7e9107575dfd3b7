"""`amd-service model pull` and `amd-service model export`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="Download the model and build faster engines.")


@app.command(cls=PlainCommand)
def pull() -> None:
    """Download the model AMD_MODEL and verify its files."""
    settings = load_settings_and_logging(quiet=True)
    from amd_service.detection.classifier.model import pull as pull_model

    files = pull_model(settings)
    typer.echo(f"{files.id} {files.revision or ''} is in {files.folder}\nweights sha256 {files.weights_sha256}")


@app.command(cls=PlainCommand)
def export(
    engine: Annotated[str, typer.Option(help="Library that runs the model: onnx, openvino or torch.")],
    precision: Annotated[str, typer.Option(help="fp32, bf16 or int8. Not every engine supports every precision.")],
    windows: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of your own recordings, used for calibration and for the engine check."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Build and check the engine again, even if it was built before.")
    ] = False,
) -> None:
    """Build a faster engine of AMD_MODEL and measure it against the reference. Exits 1 if the engine check fails."""
    settings = load_settings_and_logging(quiet=True)
    from amd_service.lab.export.exporter import Exporter

    if not Exporter(settings).export(engine, precision, windows_dir=windows, again=again).passed:
        raise typer.Exit(1)
