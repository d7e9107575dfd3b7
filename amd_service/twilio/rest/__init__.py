"""Twilio's REST API, as far as we use it."""

from amd_service.twilio.rest.api import CallOrder, Rest, Told

__all__ = ["CallOrder", "Rest", "Told"]
