"""Alembic's entry point. Migrates the connection in the configuration, or the database in AMD_DATABASE_URL."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from amd_service.calls.tables import Base
from amd_service.database.connection import open_admin_engine


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_on_own_connection() -> None:
    async with open_admin_engine(os.environ["AMD_DATABASE_URL"]) as engine, engine.begin() as connection:
        await connection.run_sync(run)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_on_own_connection())
