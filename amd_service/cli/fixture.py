"""`amd-service fixture`"""

from pathlib import Path
from typing import Annotated

import typer


def fixture(
    recording: Annotated[Path, typer.Argument(help="Audio file of a call, e.g. WAV, MP3 or .ulaw.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of recorded calls, e.g. my-calls.")],
    label: Annotated[
        str | None, typer.Option(help="Expected label: human, voicemail or undecided. Default: any label.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Dialled number. Default: a number that no other call in DIR has.")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, max=2, help="Channel of the called party in a dual-channel file. Default: 1.")
    ] = None,
) -> None:
    """Make a recorded call from a recording, for `simulate`, `replay` and `demo`.

    Creates DIR/NAME, where NAME is the name of the file. docs/recorded_calls.md describes its files.
    """
    from amd_service.domain import Label
    from amd_service.errors import ConfigurationError
    from amd_service.lab.fixtures.from_file import write_recorded_call

    if label is not None and label not in list(Label):
        raise ConfigurationError(f"--label {label} must be {', '.join(Label)}")
    expected = None if label is None else Label(label)
    typer.echo(write_recorded_call(recording, directory, to=to, label=expected, channel=channel))
