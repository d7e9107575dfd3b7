"""Requeues recordings that workers gave up."""

from amd_service.database.opening import open_database
from amd_service.domain import Failure
from amd_service.errors import ConfigurationError
from amd_service.operations.requeue import requeue_recordings
from amd_service.settings import Settings


async def requeue_failed(settings: Settings, reason: str | None) -> int:
    """Requeue recordings that ended without a verdict; with `reason`, only those with this reason.

    Returns the number of requeued recordings. Raises ConfigurationError if `reason` is unknown.
    """
    try:
        failure = None if reason is None else Failure(reason)
    except ValueError as error:
        raise ConfigurationError(f"--reason must be one of {', '.join(Failure)}") from error
    async with open_database(settings) as database:
        return await requeue_recordings(database, failure)
