"""Finds the audio files below the paths of a command line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The audio files of a command line. `skipped`: number of other files in the directories, by suffix."""

    audio: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def describe_skipped(self) -> str | None:
        """Return a line about the skipped files, or None if no file was skipped."""
        if not self.skipped:
            return None
        total = self.skipped.total()
        numbers = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(self.skipped.items()))
        return (
            f"skipped {total} file{'' if total == 1 else 's'} without a suffix of a supported audio format: {numbers}"
        )


def find_audio_files(paths: Sequence[Path]) -> FoundFiles:
    """Replace each directory by the audio files below the directory, in the order of their names.

    A path that is not a directory is kept, with any suffix. Raises ConfigurationError if a directory has no audio file.
    """
    found = FoundFiles()
    for path in paths:
        if not path.is_dir():
            found.audio.append(path)
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file())
        audio = [file for file in files if file.suffix.lower() in CONTENT_TYPES]
        found.audio.extend(audio)
        found.skipped.update(file.suffix.lower() for file in files if file.suffix.lower() not in CONTENT_TYPES)
        if not audio:
            suffixes, skipped = ", ".join(CONTENT_TYPES), FoundFiles(skipped=found.skipped).describe_skipped()
            raise ConfigurationError(
                f"{path} contains no audio file: the suffix must be {suffixes}" + (f" ({skipped})" if skipped else "")
            )
    return found
