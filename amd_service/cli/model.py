"""`amd-service model`: pull, list, show, export, compare and promote"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import DEFAULT_SINCE, OneJsonFlag, Since, Until
from amd_service.cli.plain_help import PlainCommand, PlainGroup
from amd_service.cli.process import load_settings_and_logging, run

app = typer.Typer(
    cls=PlainGroup, no_args_is_help=True, help="Download, compare and change the model, and build faster engines."
)


@app.command(cls=PlainCommand)
def pull() -> None:
    """Download the model AMD_MODEL and verify its files."""
    settings = load_settings_and_logging(quiet=True)
    from amd_service.detection.classifier.model import pull as pull_model

    files = pull_model(settings)
    typer.echo(f"{files.id} {files.revision or ''} is in {files.folder}\nweights sha256 {files.weights_sha256}")


@app.command("list", cls=PlainCommand)
def list_command(as_json: OneJsonFlag = False) -> None:
    """List the models of the settings, the included model and the downloaded models, with their exported engines."""
    from amd_service.cli.model_listing import print_models

    print_models(load_settings_and_logging(quiet=True), as_json=as_json)


@app.command(cls=PlainCommand)
def show(
    model: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="Folder, downloaded model or demo. Default: AMD_MODEL.")
    ] = None,
    as_json: OneJsonFlag = False,
) -> None:
    """Show labels, windows, temperature, hashes, engines and card of a model, without loading it."""
    from amd_service.cli.model_listing import print_model

    print_model(load_settings_and_logging(quiet=True), model, as_json=as_json)


@app.command(cls=PlainCommand)
def compare(
    since: Since = DEFAULT_SINCE,
    until: Until = None,
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Shadow model. Default: AMD_SHADOW_MODEL, else the newest runs.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Maximum number of listed calls.")] = 20,
    as_json: OneJsonFlag = False,
) -> None:
    """Compare the runs of a shadow model with the verdicts, and with reviews where there are some."""
    from amd_service.cli.model_comparison import print_comparison

    run(print_comparison(load_settings_and_logging(quiet=True), since, until, model, limit, as_json=as_json))


@app.command(cls=PlainCommand)
def promote(
    model: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder or downloaded model.")],
    data: Annotated[Path, typer.Option(metavar="DATA", help="Dataset folder with labelled recordings.")],
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least share of right labels. By default, the model must not be worse than AMD_MODEL."
        ),
    ] = None,
    min_clips: Annotated[int, typer.Option(min=1, help="Least number of recordings of each label.")] = 50,
    as_json: OneJsonFlag = False,
) -> None:
    """Examine a model and print the setting that makes it AMD_MODEL. Changes nothing. Exits 1 if the model is refused.

    The model must not contradict the golden clips, must have a checked engine if AMD_ENGINE demands one, and must not
    be worse than AMD_MODEL on DATA outside the 95 % interval. DATA must have enough recordings of each label.
    """
    settings = load_settings_and_logging(quiet=True)
    from amd_service.cli.extra import EVALUATE, raise_if_extra_missing

    raise_if_extra_missing("model promote", EVALUATE)
    from amd_service.cli.model_promotion import promote_model

    if not run(promote_model(settings, model, data, min_accuracy, min_clips, as_json=as_json)):
        raise typer.Exit(1)


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
