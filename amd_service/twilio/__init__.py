"""Communication with Twilio: signatures, callbacks, recordings, Media Streams and the REST API."""
