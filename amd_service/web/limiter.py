"""How much of a kind this process takes in at once."""

from collections.abc import Iterator
from contextlib import contextmanager


class Limiter:
    """So many, each held for a while."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Hold a place; False where there is none."""
        if self._free <= 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1
