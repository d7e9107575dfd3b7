"""Queues windows for the model, ordered by priority and then by arrival. The queue is bounded."""

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
    """Priority of a request. Requests of waiting clients run before recordings."""

    INTERACTIVE = 0
    RECORDING = 1


@dataclass(order=True, slots=True)
class InferenceRequest:
    """One queued window, and the future of its result."""

    priority: Priority
    number: int
    window: Window = field(compare=False)
    result: Future[ModelRun] = field(compare=False)


class RequestQueue:
    """Bounded, thread-safe priority queue between callers and the inference thread.

    A new queue is closed until `open` is called. While the queue is closed, `submit` raises with the reason given to
    `close`, so that no window waits for a thread that has ended.
    """

    def __init__(self, bound: int, gauge: Gauge) -> None:
        self._bound = bound
        self._gauge = gauge
        self._changed = Condition()
        self._heap: list[InferenceRequest] = []
        self._numbers = count()
        self._closed_because: str | None = "the classifier has not been started"
        self._is_waiting = False

    @property
    def is_idle(self) -> bool:
        """True while the inference thread waits for a window."""
        with self._changed:
            return self._is_waiting and not self._heap

    def submit(self, window: Window, priority: Priority, *, estimate_s: Callable[[int], float]) -> InferenceRequest:
        """Enqueue a window.

        Raises ClassifierUnavailable while the queue is closed. Raises QueueFull while the queue contains the maximum
        number of windows.

        `estimate_s`: computes the seconds until a given number of windows is done. QueueFull contains this time.
        """
        with self._changed:
            if self._closed_because is not None:
                raise ClassifierUnavailable(self._closed_because)
            if len(self._heap) >= self._bound:
                raise QueueFull(
                    f"the queue is full: {self._bound} windows are waiting for the model",
                    retry_after_s=estimate_s(len(self._heap)),
                )
            request = InferenceRequest(priority, next(self._numbers), window, Future())
            heapq.heappush(self._heap, request)
            self._notify()
            return request

    def withdraw(self, request: InferenceRequest) -> None:
        """Remove a request. This method does nothing if the inference thread has already taken the request."""
        with self._changed:
            if request in self._heap:
                self._heap.remove(request)
                heapq.heapify(self._heap)
                self._notify()

    def take_batch(self, max_size: int) -> list[InferenceRequest]:
        """Wait for the next request, and return it with waiting requests of the same window length.

        The batch has at most `max_size` requests. The batch is empty after the queue was closed.
        """
        with self._changed:
            self._is_waiting = True
            self._changed.wait_for(lambda: self._heap or self._closed_because is not None)
            self._is_waiting = False
            if not self._heap:
                return []
            first = heapq.heappop(self._heap)
            length = len(first.window.samples)
            same = [each for each in sorted(self._heap) if len(each.window.samples) == length][: max_size - 1]
            self._heap = [request for request in self._heap if request not in same]
            heapq.heapify(self._heap)
            self._notify()
            return [first, *same]

    def open(self) -> None:
        """Accept requests."""
        with self._changed:
            self._closed_because = None

    def close(self, reason: str) -> None:
        """Refuse new requests and fail the waiting requests, both with `reason`."""
        with self._changed:
            self._closed_because = reason
            waiting, self._heap = self._heap, []
            self._notify()
        for request in waiting:
            if request.result.set_running_or_notify_cancel():
                request.result.set_exception(ClassifierUnavailable(reason))

    def _notify(self) -> None:
        self._gauge.set(len(self._heap))
        self._changed.notify_all()


def fail_requests(batch: list[InferenceRequest], error: Exception) -> None:
    """Give every caller of the batch the error."""
    for request in batch:
        request.result.set_exception(error)
