"""Order of requests, the bound of the queue, and cancelled requests."""

import asyncio

import pytest

from amd_service.detection.classifier.inference import Classifier
from amd_service.detection.classifier.request_queue import InferenceRequest, Priority, RequestQueue
from amd_service.domain import ModelRun
from amd_service.errors import QueueFull
from amd_service.telemetry import Metrics
from tests.support.inference import busy, let_tasks_run, running, score
from tests.support.models import StubEngine

pytestmark = pytest.mark.anyio


async def test_interactive_requests_run_before_recordings() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, 3.0, Priority.RECORDING), score(classifier, 4.0, Priority.RECORDING)]
            await let_tasks_run()
            waiting.append(score(classifier, 1.0, Priority.INTERACTIVE))
            await let_tasks_run()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [1.0], [3.0], [4.0]]


async def test_requests_beyond_the_bound_are_rejected_at_once() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier, busy(engine, classifier):
        accepted = score(classifier)
        await let_tasks_run()
        with pytest.raises(QueueFull) as refused:
            await score(classifier)
        assert refused.value.retry_after_s is not None
        assert not accepted.done()
    await asyncio.gather(accepted, return_exceptions=True)


async def cancel_one_of_two(engine: StubEngine, classifier: Classifier) -> asyncio.Task[ModelRun]:
    """While a window runs, submit a request, cancel it, and submit another request. Returns the cancelled task."""
    async with busy(engine, classifier) as first:
        cancelled = score(classifier, 3.0)
        await let_tasks_run()
        cancelled.cancel()
        await let_tasks_run()
        other = score(classifier, 4.0)
        await let_tasks_run()
    await asyncio.gather(first, other)
    return cancelled


async def test_a_cancelled_request_is_not_run_and_leaves_the_queue() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier:
        cancelled = await cancel_one_of_two(engine, classifier)
    assert cancelled.cancelled()
    assert engine.calls[2:] == [[9.0], [4.0]]


class LateWithdrawals(RequestQueue):
    """A queue for which each withdrawal comes too late, as if the thread had already taken the request."""

    def withdraw(self, request: InferenceRequest) -> None:
        """Leave the request in the queue."""


async def test_a_request_that_is_cancelled_after_the_thread_took_it_is_not_run() -> None:
    engine = StubEngine()
    async with running(engine, queue=LateWithdrawals(32, Metrics().inference_queue)) as classifier:
        await cancel_one_of_two(engine, classifier)
    assert engine.calls[2:] == [[9.0], [4.0]]


async def test_windows_of_equal_length_share_a_batch() -> None:
    engine = StubEngine(max_batch=4)
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, seconds) for seconds in (2.0, 3.0, 2.0)]
            await let_tasks_run()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [2.0, 2.0], [3.0]]
