"""A private Postgres for a machine that has none configured."""

from amd_service.database.embedded.sharing import check_embedded, embedded_postgres

__all__ = ["check_embedded", "embedded_postgres"]
