"""`amd-service migrate`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def migrate(
    dashboard_role: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also create a database role that may read only `call_log` and its views."),
    ] = None,
) -> None:
    """Upgrade the database schema to this version of amd-service."""
    from amd_service.database.opening import migrate_database

    run(migrate_database(load_settings_and_logging(), dashboard_role))
