"""A stand-in for Twilio: serves recordings, sends signed callbacks. For replay and for the tests."""
