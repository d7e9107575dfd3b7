"""A what-if about 300,000 calls, as command and as response, has bounded memory and a constant pace."""

import resource
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from amd_service.calls.call_filter import CallFilter
from amd_service.database.pool import Database
from amd_service.detection.decide_again import Thresholds
from amd_service.detection.decision import Policy
from amd_service.operations.what_if import BATCH, MOST_CALLS, RETRY_AFTER_S, what_if
from amd_service.settings import Settings
from tests.support.app import make_settings, open_app
from tests.support.many_calls import fill, fill_verdicts
from tests.support.postgres import filled_database
from tests.support.sampling import make_plan, make_rules

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]

CALLS = 300_000
# The counts of all calls need far less. 30 bytes per call would need more.
MOST_MB = 20
RULES, PLAN = make_rules(make_settings()), make_plan(make_settings())


@pytest.fixture(scope="module")
async def filled(server_url: str, test_run: str, anyio_backend: str) -> AsyncIterator[Database]:
    async def fill_judged(connection: Any) -> None:
        await fill(connection, CALLS)
        await fill_verdicts(connection, Policy.from_settings(Settings(_env_file=None)).as_dict())

    async with filled_database(server_url, test_run, "what_if", fill_judged) as database:
        yield database


async def test_many_calls_are_decided_again_at_a_constant_pace_within_bounded_memory(
    filled: Database, record_testsuite_property: Callable[[str, object], None]
) -> None:
    began, peaks_mb = [perf_counter()], [0.0]

    def note(_reached: datetime) -> None:
        began.append(perf_counter())
        peaks_mb.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    found = await what_if(
        filled,
        CallFilter(last=timedelta(days=100)),
        RULES,
        PLAN,
        Thresholds(human=0.7, voicemail=0.9),
        retry_after_s=RETRY_AFTER_S,
        progress=note,
    )
    batches_s = [end - start for start, end in pairwise(began)]
    tenth = len(batches_s) // 10
    first_s, last_s = median(batches_s[:tenth]), median(batches_s[-tenth:])
    more_mb = peaks_mb[-1] - peaks_mb[tenth]
    measured = {
        "calls": found.calls,
        "s_per_100_000_calls": (began[-1] - began[0]) / found.calls * 100_000,
        "s_per_1000_calls_first_tenth": first_s / BATCH * 1000,
        "s_per_1000_calls_last_tenth": last_s / BATCH * 1000,
        "mb": peaks_mb[-1],
        "mb_after_the_first_tenth": more_mb,
    }
    for name, value in measured.items():
        record_testsuite_property(f"what_if_{name}", round(value, 3))
    assert found.calls > CALLS / 2
    assert found.changed + found.unknown > 0
    assert more_mb < MOST_MB
    # Other load on the machine changes during the minutes of this test. Reading with an offset would be far slower.
    assert last_s < 3 * first_s


async def test_a_response_about_many_calls_is_about_the_newest_ones(
    filled: Database, record_testsuite_property: Callable[[str, object], None]
) -> None:
    service, began = open_app(filled), perf_counter()
    response = await service.client.get("/api/stats?last=100d&min_confidence_voicemail=0.9", timeout=120)
    record_testsuite_property("what_if_response_s", round(perf_counter() - began, 1))
    assert response.status_code == 200, response.text
    found = response.json()["what_if"]
    assert (found["calls"], found["is_cut"]) == (MOST_CALLS, True)
    await service.client.aclose()
