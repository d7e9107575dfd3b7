"""The loops of a process (queue of recordings, periodic tasks) and the retry policy."""
