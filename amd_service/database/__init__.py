"""The connection to Postgres: engine, transactions, notifications, schema, an embedded server."""
