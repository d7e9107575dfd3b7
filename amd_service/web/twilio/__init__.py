"""Routes for requests from Twilio."""
