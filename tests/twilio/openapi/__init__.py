"""Twilio's OpenAPI description of its REST API, and validation of requests against it."""
