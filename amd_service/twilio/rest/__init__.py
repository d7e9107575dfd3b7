"""Twilio's REST API, as far as we use it."""

from amd_service.twilio.rest.api import ApiEvent, CallRequest, RestClient

__all__ = ["ApiEvent", "CallRequest", "RestClient"]
