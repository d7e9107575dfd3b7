"""Turns rendered utterances into call starts, and call starts into windows for training and evaluation."""
