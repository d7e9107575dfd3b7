"""Simulated Twilio for replay and tests: REST API, recordings, signed callbacks and Media Streams."""
