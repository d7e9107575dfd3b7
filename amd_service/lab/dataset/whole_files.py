"""Writes files that are either complete or absent, also if the disk is full or the process is killed."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from amd_service.errors import DatasetUnusable

PARTIAL = ".partial"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file through a temporary file beside it. Raises DatasetUnusable if the disk is full or read-only."""
    with _replacing(path) as partial:
        partial.write_bytes(data)


def write_text(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a text file with `write`, without translating line ends. Raises DatasetUnusable, as `write_bytes` does."""
    with _replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as out:
        write(out)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):  # the folder of the file may be a file
            partial.unlink(missing_ok=True)
        raise DatasetUnusable(f"{path} cannot be written: {_cure(error)}") from error


@contextmanager
def file_errors_explained(path: Path) -> Iterator[None]:
    """Raise DatasetUnusable with the cure in place of an OSError. `path`: the file or folder that is used."""
    try:
        yield
    except OSError as error:
        raise DatasetUnusable(f"{error.filename or path} cannot be used: {_cure(error)}") from error


def _cure(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full. Free some space and run the command again: it continues with the missing files"
        case errno.EACCES | errno.EROFS | errno.EPERM:
            return "the folder is read-only for this user. Change its permissions, or choose another folder"
        case _:
            return str(error.strerror or error)
