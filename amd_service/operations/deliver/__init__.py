"""Delivers events to the backends of the user: the queue, the signed request, and the check of its target."""
