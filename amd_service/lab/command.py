"""Runs the commands of the lab that are not part of `amd-service`."""

import sys
from collections.abc import Callable

from amd_service.errors import AmdError
from amd_service.telemetry.command_name import with_command_name


def run(main: Callable[[], None]) -> None:
    """Run a command. An error of this project ends it with one line and status 2, without a traceback."""
    try:
        main()
    except AmdError as error:
        print(with_command_name(str(error)), file=sys.stderr)  # noqa: T201 - output of a command
        raise SystemExit(2) from None
