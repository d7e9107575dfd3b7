"""Recognises temporary errors of the system and of the network, which can end without a change of the settings."""

import errno
import os
import random
from collections.abc import Iterator, Mapping

# Cures for exhausted resources of the machine.
CURES: Mapping[int, str] = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "raise the system's limit of open files (`fs.file-max`)",
    errno.ENOMEM: "give the process more memory",
    errno.ENOSPC: "free disk space, or set HF_HOME to a folder on another disk",
    errno.EDQUOT: "raise the disk quota, or set HF_HOME to a folder on another disk",
}
_OTHER_ERRNOS = frozenset(
    {
        errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ECONNABORTED, errno.ECONNREFUSED,
        errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EPIPE, errno.ETIMEDOUT,
    }
)  # fmt: skip
# PyTorch, ONNX Runtime, OpenVINO and the dynamic linker report errors of the system only as text.
_TEXTS: Mapping[str, int] = {os.strerror(number).lower(): number for number in CURES} | {
    "allocate memory": errno.ENOMEM,
    "out of memory": errno.ENOMEM,
    "not enough memory": errno.ENOMEM,
    "bad_alloc": errno.ENOMEM,
}
MAX_DELAY_S = 60.0


def temporary_cause(error: BaseException) -> str | None:
    """Return the temporary error that caused `error` in one line, with the cure; None without a temporary error."""
    # The first error in the chain has the path or the address. Later errors only repeat its text.
    for each in reversed([*_with_causes(error)]):
        number = _system_error(each)
        if number is not None or isinstance(each, ConnectionError | TimeoutError):
            cure = CURES.get(number or 0)
            return f"{type(each).__name__}: {one_line(each)}" + (f" ({cure})" if cure else "")
    return None


def one_line(value: object) -> str:
    """Return an error, or another value, as one line of at most 300 characters."""
    return " ".join(str(value).split())[:300].rstrip(".")


def retry_delay_s(failures: int, base_s: float) -> float:
    """Return the delay after a number of failures in a row: `base_s`, doubled each time, at most 60 seconds.

    A random part of up to a quarter is subtracted, so that processes which started together do not retry together.
    """
    return min(MAX_DELAY_S, base_s * 2.0 ** min(failures - 1, 32)) * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _system_error(error: BaseException) -> int | None:
    """Return the number of a temporary error of the system; None for any other error."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in CURES or error.errno in _OTHER_ERRNOS else None
    if type(error) is FileNotFoundError:
        # safetensors reports every failed open() as a missing file, without a number. The existence of the files was
        # checked before, so the usual reason is the limit of open files.
        return errno.EMFILE
    text = str(error).lower()
    return next((number for each, number in _TEXTS.items() if each in text), None)
