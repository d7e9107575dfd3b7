"""`amd-service doctor`"""

import typer

from amd_service.cli.options import JsonFlag
from amd_service.cli.process import load_settings_and_logging, run


def doctor(as_json: JsonFlag = False) -> None:
    """Check settings, credentials, database and model, and name the cure for each problem. Exits 1 if a check fails."""
    from amd_service.cli.doctor.output import check_and_print, print_invalid_settings
    from amd_service.errors import ConfigurationError

    try:
        settings = load_settings_and_logging(quiet=True)
    except ConfigurationError as error:
        print_invalid_settings(error, as_json=as_json)
        raise typer.Exit(1) from error
    if not run(check_and_print(settings, as_json=as_json)):
        raise typer.Exit(1)
