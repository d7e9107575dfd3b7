"""Checks settings, credentials, database and model of an installation, and names the cure for each problem."""
