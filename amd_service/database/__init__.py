"""Access to Postgres: connection pool, transactions, LISTEN/NOTIFY, schema and an embedded server."""
