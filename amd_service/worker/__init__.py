"""Loops: the queue of recordings, periodic tasks, and the retry policy."""
