"""Makes the exported engines: builds an artefact from the model, gates it against the reference, keeps the record."""
