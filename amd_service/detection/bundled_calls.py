"""Finds the recorded calls that come with the service."""

from pathlib import Path


def bundled_calls() -> Path:
    """Return the folder of the calls that come with the service: a few in a wheel, all in a checkout."""
    package = Path(__file__).parents[1]
    in_wheel = package / "_calls"
    return in_wheel if in_wheel.is_dir() else package.parent / "fixtures" / "calls"
