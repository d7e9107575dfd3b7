"""The routes that the user's own backend and dashboards call."""
