"""The part of Twilio's REST API that the service uses."""

from amd_service.twilio.rest.client import ApiEvent, RestClient

__all__ = ["ApiEvent", "RestClient"]
