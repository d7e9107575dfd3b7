"""The garbage collector does not visit what a model brings."""

import gc
from collections.abc import Iterator

import pytest

from amd_service.detection.classifier.garbage import spare_new_objects


class Node:
    """An object that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_objects_of_the_load_are_not_visited_by_later_runs() -> None:
    with spare_new_objects():
        kept = [Node() for _ in range(100_000)]
    assert not any(each is kept[0] for each in gc.get_objects())


def test_no_run_interrupts_the_load() -> None:
    runs: list[str] = []

    def note(phase: str, _: object) -> None:
        runs.append(phase)

    gc.callbacks.append(note)
    try:
        with spare_new_objects():
            kept = [Node() for _ in range(100_000)]
    finally:
        gc.callbacks.remove(note)
    assert kept
    assert runs == []


def test_garbage_of_later_is_collected_also_after_a_failed_load() -> None:
    with pytest.raises(ValueError, match="no model"), spare_new_objects():
        raise ValueError("no model")
    assert gc.isenabled()
    Node()
    assert gc.collect() >= 1
