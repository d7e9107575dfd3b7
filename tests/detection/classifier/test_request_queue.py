"""Who is served when."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from amd_service.detection.classifier.request_queue import Priority, RequestQueue, Ticket
from amd_service.errors import ClassifierUnavailable, QueueFull
from amd_service.telemetry import Metrics
from tests.support.models import window


def open_line(bound: int = 8) -> RequestQueue:
    line = RequestQueue(bound, Metrics().inference_queue)
    line.open()
    return line


def join(line: RequestQueue, priority: Priority = Priority.RECORDING, seconds: float = 1.0) -> Ticket:
    return line.join(window(seconds), priority, estimate_s=lambda waiting: waiting * 2.0)


def test_interactive_goes_first_and_each_kind_in_order_of_arrival() -> None:
    line = open_line()
    recordings = [join(line) for _ in range(2)]
    callers = [join(line, Priority.INTERACTIVE) for _ in range(2)]
    assert [line.take(1) for _ in range(4)] == [[ticket] for ticket in (*callers, *recordings)]


def test_the_bound_refuses_with_the_time_until_there_is_room() -> None:
    line = open_line(bound=3)
    for _ in range(3):
        join(line)
    with pytest.raises(QueueFull) as refused:
        join(line, Priority.INTERACTIVE)
    assert refused.value.retry_after_s == 6.0


def test_a_place_given_up_is_free_again() -> None:
    line = open_line(bound=1)
    line.leave(join(line))
    second = join(line)
    assert line.take(1) == [second]


def test_a_batch_holds_windows_of_the_first_ones_length_only() -> None:
    line = open_line()
    first, longer, second, third = join(line), join(line, seconds=2.0), join(line), join(line)
    assert line.take(2) == [first, second]
    assert line.take(2) == [longer]
    assert line.take(2) == [third]


def test_closing_ends_every_wait_with_the_reason() -> None:
    line = open_line()
    tickets = [join(line), join(line, Priority.INTERACTIVE)]
    line.close("the model is gone")
    for ticket in tickets:
        with pytest.raises(ClassifierUnavailable, match="the model is gone"):
            ticket.result.result(timeout=0)
    with pytest.raises(ClassifierUnavailable, match="the model is gone"):
        join(line)


def test_closing_wakes_the_thread_that_waits_for_work() -> None:
    line = open_line()
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(line.take, 1)
        line.close("over")
        assert taken.result(timeout=5) == []


def test_the_gauge_shows_how_many_wait() -> None:
    metrics = Metrics()
    line = RequestQueue(8, metrics.inference_queue)
    line.open()
    join(line)
    join(line)
    line.take(1)
    assert metrics.registry.get_sample_value("amd_inference_queue") == 1
