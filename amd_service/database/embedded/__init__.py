"""Runs a private Postgres server if AMD_DATABASE_URL is not set."""

from amd_service.database.embedded.sharing import check_embedded, embedded_postgres, psql_command, restart_if_dead

__all__ = ["check_embedded", "embedded_postgres", "psql_command", "restart_if_dead"]
