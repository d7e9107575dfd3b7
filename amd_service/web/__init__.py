"""The doors for HTTP."""
