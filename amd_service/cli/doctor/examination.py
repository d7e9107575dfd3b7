"""Every check, in the order in which they are reported."""

from collections.abc import AsyncIterator

from amd_service.cli.doctor.calls import (
    check_actions,
    check_dialling,
    check_live,
    check_lost_callbacks,
    check_retention,
)
from amd_service.cli.doctor.credentials import check_accounts, check_api_origin
from amd_service.cli.doctor.database import check_database
from amd_service.cli.doctor.doors import check_api_keys, check_names, check_public_url
from amd_service.cli.doctor.finding import Finding
from amd_service.cli.doctor.model import check_model
from amd_service.settings import Settings


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every check in turn, quick ones first. Raises nothing: what goes wrong is a finding."""
    yield check_names()
    yield check_public_url(settings)
    yield check_api_origin(settings)
    for finding in await check_accounts(settings):
        yield finding
    yield check_api_keys(settings)
    yield check_dialling(settings)
    yield check_live(settings)
    yield check_actions(settings)
    yield check_lost_callbacks(settings)
    yield check_retention(settings)
    async for finding in check_database(settings):
        yield finding
    yield await check_model(settings)
