"""`amd-service classify`"""

from pathlib import Path
from typing import Annotated

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Audio files, and directories. In a directory and the directories below it, all files with the suffix "
            f"{', '.join(CONTENT_TYPES)} are classified.",
            exists=True,
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Model to use instead of AMD_MODEL: hub id, folder, or `demo`.")
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option(min=1, max=2, help="Channel of the called party in dual-channel files. Mono files ignore it."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Classify audio files on this machine. Exits 1 if a file could not be classified.

    Prints one line per file. With several files, a summary follows on stderr, which also counts the files that were
    skipped in directories because of their suffix.
    """
    settings = load_settings_and_logging(quiet=True, model=model)
    from amd_service.cli.audio_files import find_audio_files
    from amd_service.cli.classify_files import classify_and_print

    found = find_audio_files(files)
    all_classified = run(classify_and_print(found.audio, settings, channel=channel, as_json=as_json))
    if (skipped := found.describe_skipped()) is not None:
        typer.echo(skipped, err=True)
    if not all_classified:
        raise typer.Exit(1)
