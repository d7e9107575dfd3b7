"""Turns a recording into a verdict: combines audio processing and the classifier."""
