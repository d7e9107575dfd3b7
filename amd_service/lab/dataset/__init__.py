"""Rendered utterances → call starts → the windows a model is trained and measured on."""
