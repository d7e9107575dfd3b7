"""Postgres: the connection pool, transactions, LISTEN/NOTIFY, the schema, and an embedded server."""
