"""Temporary errors of the system and of the network are recognised, also behind the errors of libraries."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amd_service.detection.classifier.engine_check import read_engine_check
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import check_files
from amd_service.detection.classifier.temporary_errors import MAX_DELAY_S, retry_delay_s, temporary_cause
from amd_service.errors import ModelUnusable


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/cache/model.safetensors")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (system_error(errno.EMFILE), "Too many open files: '/cache/model.safetensors' (raise the limit of open files"),
        (system_error(errno.ENFILE), "fs.file-max"),
        (system_error(errno.ENOSPC), "free disk space"),
        (system_error(errno.EDQUOT), "quota"),
        (system_error(errno.EIO), "/cache/model.safetensors"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("unable to mmap 9 bytes from file <x>: Cannot allocate memory (12)"), "more memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory:\n you tried"), "more memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "more memory"),
        (ImportError("libtorch.so: cannot open shared object file: Too many open files"), "open files"),
        (ConnectionResetError("reset by the hub"), "reset by the hub"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_temporary_error_is_described_in_one_line_with_its_cure(error: Exception, said: str) -> None:
    described = temporary_cause(error) or ""
    assert said in described
    assert "\n" not in described


@pytest.mark.parametrize(
    "error",
    [
        system_error(errno.ENOENT),
        system_error(errno.EACCES),
        IsADirectoryError(errno.EISDIR, "Is a directory"),
        ModelUnusable("no weights here"),
        ValueError("not JSON"),
        KeyError("hidden_size"),
    ],
)
def test_an_error_that_needs_a_change_is_not_temporary(error: Exception) -> None:
    assert temporary_cause(error) is None


def test_the_cause_behind_other_errors_is_named() -> None:
    unusable = ModelUnusable("the folder cannot be read")
    unusable.__cause__ = OSError("cannot load")
    unusable.__cause__.__context__ = system_error(errno.ENOMEM)
    assert "Cannot allocate memory" in (temporary_cause(unusable) or "")


def test_delays_grow_up_to_a_minute() -> None:
    delays = [retry_delay_s(failures, 1.0) for failures in (1, 3, 6, 100)]
    assert delays[0] <= 1.0 <= 3.0 <= delays[1] <= 4.0
    assert all(0.75 * MAX_DELAY_S * 0.5 <= delay <= MAX_DELAY_S for delay in delays[2:])


@contextmanager
def without_file_descriptors() -> Iterator[None]:
    """Let every further open() fail with EMFILE."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_real_lack_of_file_descriptors_is_temporary(folder: Path) -> None:
    with without_file_descriptors(), pytest.raises(ModelUnusable) as raised:
        check_files(Located("model", folder, None), None)
    assert "Too many open files" in (temporary_cause(raised.value) or "")


def test_a_lack_of_file_descriptors_does_not_hide_an_engine_check(tmp_path: Path) -> None:
    assert read_engine_check(tmp_path) is None
    with without_file_descriptors(), pytest.raises(OSError, match="Too many open files"):
        read_engine_check(tmp_path)
