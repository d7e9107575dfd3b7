"""What Twilio says, and what we ask of it."""
