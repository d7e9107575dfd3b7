"""The HTTP API for the user's backend and dashboards."""
