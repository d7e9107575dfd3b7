"""The windows that wait for the model: bounded, by priority, first come first served within one."""

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from threading import Condition

from prometheus_client import Gauge

from amd_service.domain import ModelRun, Window
from amd_service.errors import ClassifierUnavailable, QueueFull


class Priority(IntEnum):
    """Who is served first: somebody waiting on the line before a recording nobody waits for."""

    INTERACTIVE = 0
    RECORDING = 1


@dataclass(order=True, slots=True)
class Ticket:
    """One window in line and the promise of its result."""

    priority: Priority
    number: int
    window: Window = field(compare=False)
    result: Future[ModelRun] = field(compare=False)


class RequestQueue:
    """Bounded priority queue between callers and the inference thread; thread-safe.

    It starts closed. While closed, every `join` is refused with the reason given to `close`, so that a caller is
    told at once and a window can never be left behind by a thread that has gone.
    """

    def __init__(self, bound: int, gauge: Gauge) -> None:
        self._bound = bound
        self._gauge = gauge
        self._changed = Condition()
        self._heap: list[Ticket] = []
        self._numbers = count()
        self._refusal: str | None = "the classifier has not been started"

    def join(self, window: Window, priority: Priority, *, estimate_s: Callable[[int], float]) -> Ticket:
        """Take a place. Raises ClassifierUnavailable while closed, QueueFull at the bound.

        `estimate_s`: seconds until that many waiting windows are done; QueueFull passes it on.
        """
        with self._changed:
            if self._refusal is not None:
                raise ClassifierUnavailable(self._refusal)
            if len(self._heap) >= self._bound:
                raise QueueFull(
                    f"{self._bound} windows wait for the model already", retry_after_s=estimate_s(len(self._heap))
                )
            ticket = Ticket(priority, next(self._numbers), window, Future())
            heapq.heappush(self._heap, ticket)
            self._announce()
            return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place up; nothing happens when the ticket was taken already."""
        with self._changed:
            if ticket in self._heap:
                self._heap.remove(ticket)
                heapq.heapify(self._heap)
                self._announce()

    def take(self, most: int) -> list[Ticket]:
        """Wait for the next ticket and up to `most - 1` others whose windows are as long. Empty once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._heap or self._refusal is not None)
            if not self._heap:
                return []
            first = heapq.heappop(self._heap)
            same = [t for t in sorted(self._heap) if len(t.window.samples) == len(first.window.samples)][: most - 1]
            self._heap = [ticket for ticket in self._heap if ticket not in same]
            heapq.heapify(self._heap)
            self._announce()
            return [first, *same]

    def open(self) -> None:
        """Let callers join."""
        with self._changed:
            self._refusal = None

    def close(self, refusal: str) -> None:
        """Refuse newcomers for this reason from now on, and end everybody's wait with it."""
        with self._changed:
            self._refusal = refusal
            rest, self._heap = self._heap, []
            self._announce()
        for ticket in rest:
            if ticket.result.set_running_or_notify_cancel():
                ticket.result.set_exception(ClassifierUnavailable(refusal))

    def _announce(self) -> None:
        self._gauge.set(len(self._heap))
        self._changed.notify_all()
