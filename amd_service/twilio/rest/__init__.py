"""The part of Twilio's REST API that the service uses."""

from amd_service.twilio.rest.client import ApiEvent, CallRequest, RestClient

__all__ = ["ApiEvent", "CallRequest", "RestClient"]
