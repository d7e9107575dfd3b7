"""Speech synthesised offline by command-line engines: voices, phrases, utterances and their audio."""
