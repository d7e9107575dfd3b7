"""Exports engines: builds an engine from the model, compares it with the reference, and stores the engine check."""
