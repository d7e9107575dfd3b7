"""`amd-service classify`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def classify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="WAV, MP3 or .ulaw files.", exists=True, dir_okay=False)
    ],
    model: Annotated[
        str | None, typer.Option(help="Model to use instead of AMD_MODEL: hub id, folder, or `demo`.")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, max=2, help="Channel of the called party in dual-channel files.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Classify audio files on this machine. Exits 1 if a file could not be classified."""
    from amd_service.cli.classify_files import classify_and_print

    settings = load_settings_and_logging(quiet=True, **({"model": model} if model else {}))
    if not run(classify_and_print(files, settings, channel=channel, as_json=as_json)):
        raise typer.Exit(1)
