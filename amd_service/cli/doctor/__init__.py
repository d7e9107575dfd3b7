"""Checks an installation from the settings to the model, and names the cure for each problem."""
