"""What Twilio sends, and requests to Twilio: signatures, callbacks, recordings, Media Streams, REST API."""
