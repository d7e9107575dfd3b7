"""Measures a model on labelled recordings, with an interval for each figure."""
