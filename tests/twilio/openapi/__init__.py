"""Twilio's own description of its REST API, and requests held against it."""
