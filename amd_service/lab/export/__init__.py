"""Exports engines: builds one from the model, checks it against the reference, stores the record beside it."""
