"""Speech rendered offline by command-line engines: who speaks, what they say, and the sound of it."""
