"""Twilio simulated on loopback, for people without an account: replay, demo, recorded calls."""
