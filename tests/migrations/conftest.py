"""A database without any tables."""

import os
from collections.abc import AsyncIterator

import pytest

from amd_service.database.connection import connect
from tests.support.postgres import with_database


@pytest.fixture
async def bare_url(server_url: str, test_run: str, anyio_backend: str) -> AsyncIterator[str]:
    name = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_bare"
    connection = await connect(server_url, statement_timeout_s=None)
    await connection.execute(f'create database "{name}"')
    yield with_database(server_url, name)
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()
