"""A private Postgres for a machine that has none configured."""

from amd_service.calls.embedded.sharing import embedded_postgres

__all__ = ["embedded_postgres"]
