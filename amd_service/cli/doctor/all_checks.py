"""Runs every check in the order in which the results are printed."""

from collections.abc import AsyncIterator

from amd_service.cli.doctor.access import check_access
from amd_service.cli.doctor.backends import check_backends
from amd_service.cli.doctor.call_handling import (
    check_actions,
    check_live,
    check_placing_calls,
    check_reconciliation,
    check_retention,
)
from amd_service.cli.doctor.check_result import CheckResult
from amd_service.cli.doctor.credentials import check_accounts, check_api_origin
from amd_service.cli.doctor.database import check_database
from amd_service.cli.doctor.model import check_model, check_shadow_model
from amd_service.cli.doctor.public_access import check_proxy, check_public_url, check_setting_names
from amd_service.settings import Settings


async def run_checks(settings: Settings) -> AsyncIterator[CheckResult]:
    """Run every check, the fast checks first. Raises nothing: an error becomes a result with the health `fail`."""
    yield check_setting_names(settings)
    yield check_public_url(settings)
    yield check_api_origin(settings)
    for result in await check_accounts(settings):
        yield result
    yield await check_access(settings)
    yield check_placing_calls(settings)
    yield check_live(settings)
    yield check_actions(settings)
    yield check_reconciliation(settings)
    yield check_retention(settings)
    yield await check_backends(settings)
    yield check_shadow_model(settings)
    yield await check_proxy(settings)
    async for result in check_database(settings):
        yield result
    yield await check_model(settings)
