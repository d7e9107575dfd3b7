"""Finds the audio files below the paths of a command line."""

from collections.abc import Sequence
from pathlib import Path

from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import ConfigurationError


def find_audio_files(paths: Sequence[Path]) -> list[Path]:
    """Replace each directory by the audio files below the directory, in the order of their names.

    A path that is not a directory is kept, with any suffix. Raises ConfigurationError if a directory has no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        below = sorted(file for file in path.rglob("*") if file.suffix.lower() in CONTENT_TYPES and file.is_file())
        if not below:
            raise ConfigurationError(f"{path} contains no audio file: the suffix must be {', '.join(CONTENT_TYPES)}")
        found += below
    return found
