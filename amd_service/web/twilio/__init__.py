"""The routes that Twilio calls."""
