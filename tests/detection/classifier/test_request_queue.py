"""Order, bound and end of the queue."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from amd_service.detection.classifier.request_queue import InferenceRequest, Priority, RequestQueue
from amd_service.errors import ClassifierUnavailable, QueueFull
from amd_service.telemetry import Metrics
from tests.support.models import window


def open_queue(bound: int = 8) -> RequestQueue:
    queue = RequestQueue(bound, Metrics().inference_queue)
    queue.open()
    return queue


def submit(queue: RequestQueue, priority: Priority = Priority.RECORDING, seconds: float = 1.0) -> InferenceRequest:
    return queue.submit(window(seconds), priority, estimate_s=lambda waiting: waiting * 2.0)


def test_interactive_requests_come_first_and_each_priority_in_order_of_arrival() -> None:
    queue = open_queue()
    recordings = [submit(queue) for _ in range(2)]
    callers = [submit(queue, Priority.INTERACTIVE) for _ in range(2)]
    assert [queue.take_batch(1) for _ in range(4)] == [[request] for request in (*callers, *recordings)]


def test_a_full_queue_rejects_with_a_retry_time() -> None:
    queue = open_queue(bound=3)
    for _ in range(3):
        submit(queue)
    with pytest.raises(QueueFull) as refused:
        submit(queue, Priority.INTERACTIVE)
    assert refused.value.retry_after_s == 6.0


def test_a_withdrawn_request_leaves_the_queue() -> None:
    queue = open_queue(bound=1)
    queue.withdraw(submit(queue))
    second = submit(queue)
    assert queue.take_batch(1) == [second]


def test_a_batch_holds_only_windows_of_one_length() -> None:
    queue = open_queue()
    first, longer, second, third = submit(queue), submit(queue, seconds=2.0), submit(queue), submit(queue)
    assert queue.take_batch(2) == [first, second]
    assert queue.take_batch(2) == [longer]
    assert queue.take_batch(2) == [third]


def test_close_fails_waiting_requests_with_the_reason() -> None:
    queue = open_queue()
    requests = [submit(queue), submit(queue, Priority.INTERACTIVE)]
    queue.close("the model is gone")
    for request in requests:
        with pytest.raises(ClassifierUnavailable, match="the model is gone"):
            request.result.result(timeout=0)
    with pytest.raises(ClassifierUnavailable, match="the model is gone"):
        submit(queue)


def test_close_wakes_a_thread_that_waits_for_requests() -> None:
    queue = open_queue()
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(queue.take_batch, 1)
        queue.close("over")
        assert taken.result(timeout=5) == []


def test_the_gauge_shows_the_number_of_waiting_requests() -> None:
    metrics = Metrics()
    queue = RequestQueue(8, metrics.inference_queue)
    queue.open()
    submit(queue)
    submit(queue)
    queue.take_batch(1)
    assert metrics.registry.get_sample_value("amd_inference_queue") == 1
