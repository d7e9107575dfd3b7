"""Discards what C code writes to stderr.

libmpg123, which libsndfile uses for MP3 files, writes a line of text for each damaged frame. libsndfile offers no way
to switch this off, and the lines would break a log in JSON.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


class CStderr:
    """C's variable `stderr`. The GNU C library allows programs to set the variable.

    Only output through C's `stderr` is discarded. Python writes to file descriptor 2 directly, so no line of the log
    is lost, also not while another thread decodes. Redirecting the file descriptor would lose lines of other threads.
    Source: https://sourceware.org/glibc/manual/latest/html_node/Standard-Streams.html
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._variable: ctypes.c_void_p | None = None
        self._original: int | None = None
        self._null: int | None = None
        name = "CS_GNU_LIBC_VERSION"
        if name in os.confstr_names and (os.confstr(name) or "").startswith("glibc"):
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            self._variable = ctypes.c_void_p.in_dll(libc, "stderr")
            self._original, self._null = self._variable.value, libc.fopen(b"/dev/null", b"w")

    @contextmanager
    def discarded(self) -> Iterator[None]:
        """Discard the output while at least one thread is in this context. Other C libraries ignore the context."""
        self._use(1)
        try:
            yield
        finally:
            self._use(-1)

    def _use(self, change: int) -> None:
        with self._lock:
            self._users += change
            if self._variable is not None and self._null is not None:
                self._variable.value = self._null if self._users else self._original


@cache
def c_stderr() -> CStderr:
    """Return the stream of this process. All threads share C's variable."""
    return CStderr()
