"""Bytes → verdict: the one place that joins audio and classifier."""
