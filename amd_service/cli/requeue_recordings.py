"""Runs `amd-service requeue` and prints the result."""

from amd_service.database.opening import open_database
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError
from amd_service.operations.requeue import count_recordings, requeue_recordings
from amd_service.settings import Settings


async def requeue_and_print(settings: Settings, reason: str | None, *, dry_run: bool) -> None:
    """Requeue recordings that were given up, or only count them, and print the number.

    Raises ConfigurationError for an unknown reason.
    """
    try:
        failure = None if reason is None else Failure(reason)
    except ValueError as error:
        raise ConfigurationError(f"--reason must be one of {', '.join(Failure)}") from error
    work, done = (count_recordings, "would be requeued") if dry_run else (requeue_recordings, "requeued")
    async with open_database(settings) as database:
        print(f"{await work(database, failure)} recording(s) {done}")  # noqa: T201 - the command's output
