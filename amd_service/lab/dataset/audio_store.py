"""The audio files of a dataset that is being built, under one name each, wherever they lie in its folder."""

import fcntl
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from amd_service.detection.audio.input import AudioInput
from amd_service.domain import Waveform
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import MANIFEST
from amd_service.lab.dataset.left_out import SUSPICIOUS
from amd_service.lab.dataset.metadata import METADATA
from amd_service.lab.dataset.whole_files import PARTIAL, file_errors_explained, write_bytes
from amd_service.lab.synthesis.voices import Split

# Files that have no split yet. The name begins with a dot, so that no reader of the folder takes them for a split.
FETCHED = ".fetched"
# Ending of the name of a file that contains both parties, because the called party's channel was not known.
_MIXED = "-mixed"


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """A WAV file in 16-bit PCM. `is_mixed`: both parties are on its channel."""

    path: Path
    is_mixed: bool

    @property
    def split(self) -> Split | None:
        """The split in whose folder the file lies, None before it has one."""
        name = self.path.parent.name
        return Split(name) if name in tuple(Split) else None

    def audio_input(self) -> AudioInput:
        """Read the file. Raises DatasetUnusable."""
        with file_errors_explained(self.path):
            return AudioInput(data=self.path.read_bytes(), one_sided=not self.is_mixed)


@contextmanager
def open_store(folder: Path, *, source: Path | None = None) -> Iterator["AudioStore"]:
    """Create the folder, and open it for one build at a time.

    Raises DatasetUnusable: the folder contains something that no build made, cannot be created or read, is `source`,
    whose files are copied, or another build uses it.
    """
    if source is not None and source.resolve() == folder.resolve():
        raise DatasetUnusable(f"{folder} is the source and the result: name a new folder for the dataset")
    with file_errors_explained(folder):
        _raise_if_foreign(folder)
        # Only the owner may read the voices of people.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / FETCHED).mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        with file_errors_explained(folder):
            store = AudioStore(folder)
        yield store
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    """Lock the folder until the descriptor is closed, also by the end of the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatasetUnusable(
            f"another build uses {folder}: wait until it has ended, or name another folder"
        ) from error


def _raise_if_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DatasetUnusable(f"{folder} is a file: name a folder")
    is_own = (folder / MANIFEST).exists() or (folder / FETCHED).exists()
    if folder.exists() and not is_own and any(folder.iterdir()):
        raise DatasetUnusable(f"{folder} contains files that no build made: name a new or empty folder")


class AudioStore:
    """Finds files of an earlier or interrupted build, adds files, and moves them to their splits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = [path for name in (FETCHED, *Split) for path in (folder / name).glob("*.wav")]
        self._stored = {
            path.stem.removesuffix(_MIXED): StoredAudio(path, path.stem.endswith(_MIXED)) for path in sorted(paths)
        }

    def find(self, name: str) -> StoredAudio | None:
        """Return the file with this name, or None."""
        return self._stored.get(name)

    def add(self, name: str, waveform: Waveform, *, is_mixed: bool) -> StoredAudio:
        """Write a file that has no split yet."""
        stored = StoredAudio(self._folder / FETCHED / f"{name}{_MIXED if is_mixed else ''}.wav", is_mixed)
        out = io.BytesIO()
        soundfile.write(out, as_pcm(waveform), waveform.rate_hz, format="WAV", subtype="PCM_16")
        write_bytes(stored.path, out.getvalue())
        self._stored[name] = stored
        return stored

    def begin_placing(self) -> None:
        """Remove the tables of an earlier build: until the new ones are written, the folder has no labels."""
        (self._folder / SUSPICIOUS).unlink(missing_ok=True)
        for name in Split:
            (self._folder / name / METADATA).unlink(missing_ok=True)

    def place(self, name: str, split: Split | None) -> Path:
        """Move a file to a split, or to the files without a split. Returns its new path."""
        old = self._stored[name]
        path = self._folder / (split or FETCHED) / old.path.name
        path.parent.mkdir(exist_ok=True)
        old.path.replace(path)
        self._stored[name] = StoredAudio(path, old.is_mixed)
        return path

    def tidy(self, *, placed: Iterable[str], known: Iterable[str]) -> None:
        """Take files that are not in the tables out of the splits, so that a split has no file without a label.

        Known files stay in the folder, so that they are not fetched again. Other files are deleted, and so are the
        parts of files that an interrupted build left behind.
        """
        for name in self._stored.keys() - set(known):
            self._stored.pop(name).path.unlink(missing_ok=True)
        for name in self._stored.keys() - set(placed):
            self.place(name, None)
        for split in (FETCHED, *Split):
            for path in (self._folder / split).glob(f"*{PARTIAL}"):
                path.unlink(missing_ok=True)


def as_pcm(waveform: Waveform) -> NDArray[np.int16]:
    """Return the samples as 16-bit integers. Samples that were decoded from 16 bits or from mu-law are exact."""
    return np.clip(np.round(waveform.samples * 32768.0), -32768, 32767).astype(np.int16)


def audio_digest(waveform: Waveform) -> str:
    """Return the SHA-256 of the samples in 16-bit PCM and their rate. Containers and headers do not change it."""
    digest = hashlib.sha256(waveform.rate_hz.to_bytes(4, "little"))
    digest.update(as_pcm(waveform).astype("<i2").tobytes())
    return digest.hexdigest()
