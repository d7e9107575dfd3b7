"""Simulates Twilio on loopback, for use without a Twilio account: replay, demo, recorded calls."""
