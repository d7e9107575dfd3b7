"""Traces: spans from a callback to its verdict."""
