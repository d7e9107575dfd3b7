"""Client for the part of Twilio's REST API that the service uses."""

from amd_service.twilio.rest.client import ApiEvent, RestClient
from amd_service.twilio.rest.transport import Sleep

__all__ = ["ApiEvent", "RestClient", "Sleep"]
