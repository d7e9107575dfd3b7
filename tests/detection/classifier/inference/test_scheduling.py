"""Whose window the thread takes next, and who is not let in."""

import asyncio

import pytest

from amd_service.detection.classifier.inference import Classifier, Priority
from amd_service.detection.classifier.request_queue import RequestQueue
from amd_service.domain import ModelRun
from amd_service.errors import QueueFull
from tests.support.inference import busy, running, score, turn
from tests.support.models import StubEngine

pytestmark = pytest.mark.anyio


async def test_a_caller_on_the_line_goes_before_recordings() -> None:
    engine = StubEngine()
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, 3.0, Priority.RECORDING), score(classifier, 4.0, Priority.RECORDING)]
            await turn()
            waiting.append(score(classifier, 1.0, Priority.INTERACTIVE))
            await turn()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [1.0], [3.0], [4.0]]


async def test_beyond_the_bound_callers_are_refused_at_once() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier, busy(engine, classifier):
        accepted = score(classifier)
        await turn()
        with pytest.raises(QueueFull) as refused:
            await score(classifier)
        assert refused.value.retry_after_s is not None
        assert not accepted.done()
    await asyncio.wait([accepted])


async def leave_and_stay(engine: StubEngine, classifier: Classifier) -> asyncio.Task[ModelRun]:
    """Behind a window in hand, a caller who leaves and then one who stays; the first of the two."""
    async with busy(engine, classifier) as first:
        left = score(classifier, 3.0)
        await turn()
        left.cancel()
        await turn()
        stays = score(classifier, 4.0)
        await turn()
    await asyncio.gather(first, stays)
    return left


async def test_a_caller_who_leaves_costs_no_run_and_no_place() -> None:
    engine = StubEngine()
    async with running(engine, bound=1) as classifier:
        left = await leave_and_stay(engine, classifier)
    assert left.cancelled()
    assert engine.calls[2:] == [[9.0], [4.0]]


async def test_a_caller_who_leaves_as_its_turn_comes_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestQueue, "withdraw", lambda *_: None)  # too late: the thread has the ticket already
    engine = StubEngine()
    async with running(engine) as classifier:
        await leave_and_stay(engine, classifier)
    assert engine.calls[2:] == [[9.0], [4.0]]


async def test_equal_windows_share_a_run_where_the_engine_takes_batches() -> None:
    engine = StubEngine(max_batch=4)
    async with running(engine) as classifier:
        async with busy(engine, classifier) as first:
            waiting = [score(classifier, seconds) for seconds in (2.0, 3.0, 2.0)]
            await turn()
        await asyncio.gather(first, *waiting)
    assert engine.calls[2:] == [[9.0], [2.0, 2.0], [3.0]]
