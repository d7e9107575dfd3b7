"""`amd-service migrate`"""

from typing import Annotated

import typer

from amd_service.cli.process import load_settings_and_logging, run


def migrate(
    dashboard_role: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Also create a role that may read `call_log`, `call_log_agreement` and nothing else."
        ),
    ] = None,
) -> None:
    """Bring the database schema up to date."""
    from amd_service.database.opening import migrate_database

    run(migrate_database(load_settings_and_logging(), dashboard_role))
