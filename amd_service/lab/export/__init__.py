"""Makes the exported engines: builds an engine from the model, gates it against the reference, keeps the record."""
