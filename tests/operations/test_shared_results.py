"""Results of slow queries, which all readers share."""

import asyncio

import pytest

from amd_service.errors import DatabaseUnavailable
from amd_service.operations import shared_results
from amd_service.operations.shared_results import MOST_WAITING, SharedResults

pytestmark = pytest.mark.anyio

KEEP_S = 10.0


class Slow:
    """A computation that waits until it is released. Its result is the number of the computation."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.now = 1000.0
        self.released = asyncio.Event()
        self.released.set()
        self.fault: Exception | None = None
        self.computed: list[str] = []
        self.running = self.most_running = 0

    def results(self, keep_s: float = KEEP_S) -> SharedResults[str, int]:
        return SharedResults(self.compute, self.lock, keep_s=keep_s, clock=lambda: self.now)

    async def compute(self, key: str) -> int:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.released.wait()
        self.running -= 1
        self.computed.append(key)
        if self.fault is not None:
            raise self.fault
        return len(self.computed)


async def test_all_readers_of_a_key_get_one_result_until_it_is_too_old() -> None:
    slow = Slow()
    results = slow.results()
    assert await asyncio.gather(*(results.read("a") for _ in range(50))) == [1] * 50
    slow.now += KEEP_S - 0.1
    assert await results.read("a") == 1
    slow.now += 100 * KEEP_S
    assert await results.read("a") == 2


async def test_results_are_computed_one_after_another_also_those_of_other_instances() -> None:
    slow = Slow()
    one, other = slow.results(), slow.results()
    await asyncio.gather(*(results.read(key) for results in (one, other) for key in "abc"))
    assert (slow.most_running, len(slow.computed)) == (1, 6)


async def test_a_reader_who_leaves_does_not_end_the_computation_for_the_others() -> None:
    slow = Slow()
    slow.released.clear()
    results = slow.results()
    first, second = (asyncio.create_task(results.read("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    slow.released.set()
    assert await second == 1


async def test_an_outage_fails_every_reader_and_is_kept_no_longer_than_a_few_times_its_duration() -> None:
    slow = Slow()
    slow.fault = DatabaseUnavailable("down")
    results = slow.results()
    found = await asyncio.gather(*(results.read("a") for _ in range(3)), return_exceptions=True)
    assert found == [slow.fault] * 3
    assert slow.computed == ["a"]
    slow.fault = None
    slow.now += KEEP_S
    assert await results.read("a") == 2


async def test_a_query_that_timed_out_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    slow.fault = DatabaseUnavailable("canceling statement due to statement timeout")
    seconds = iter((0.0, 3.0, 3.0, 6.0))
    monkeypatch.setattr(shared_results, "perf_counter", lambda: next(seconds))
    results = slow.results()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await results.read("a")
    assert slow.computed == ["a"]


async def test_a_reader_who_asks_for_many_results_is_refused_and_does_not_hold_up_the_others_for_long() -> None:
    slow = Slow()
    slow.released.clear()
    results = slow.results()
    tasks = [asyncio.create_task(results.read(str(number))) for number in range(1000)]
    await asyncio.sleep(0)
    slow.released.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, DatabaseUnavailable) for each in found) == 1000 - MOST_WAITING
    assert len(slow.computed) == MOST_WAITING
    assert await results.read("later") == MOST_WAITING + 1


async def test_the_number_of_kept_results_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_results, "MOST_KEPT", 2)
    results = Slow().results()
    assert [await results.read(key) for key in ("a", "a", "b", "c", "a")] == [1, 1, 2, 3, 4]
