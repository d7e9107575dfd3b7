"""`amd-service classify`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Audio files, and directories. In a directory, all files with the suffix .wav, .mp3, .flac, .ogg, "
            ".opus, .aif, .aiff, .au, .caf, .ulaw, .ul or .alaw are classified.",
            exists=True,
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Model to use instead of AMD_MODEL: hub id, folder, or `demo`.")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, max=2, help="Channel of the called party in dual-channel files.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Classify audio files on this machine. Exits 1 if a file could not be classified.

    Prints one line per file. With several files, a summary follows on stderr.
    """
    settings = load_settings_and_logging(quiet=True, **({"model": model} if model else {}))
    from amd_service.cli.audio_files import find_audio_files
    from amd_service.cli.classify_files import classify_and_print

    if not run(classify_and_print(find_audio_files(files), settings, channel=channel, as_json=as_json)):
        raise typer.Exit(1)
