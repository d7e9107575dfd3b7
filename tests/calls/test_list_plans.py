"""The list of calls reads no table as a whole, whatever the filter, and stays fast with a million calls."""

import re
from collections.abc import AsyncIterator
from statistics import median
from time import perf_counter
from urllib.parse import parse_qsl

import pytest

from amd_service.calls.call_filter import FilterRules, parse_filter
from amd_service.calls.call_pages import NEWEST, Position, read_page
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.strata import LowConfidence
from amd_service.database.pool import Database
from amd_service.operations.list_calls import EXPORT_BATCH
from tests.support.many_calls import fill
from tests.support.postgres import filled_database
from tests.support.query_plans import plans

pytestmark = pytest.mark.anyio

RULES = FilterRules(NumberPolicy("keep"), LowConfidence(human=0.8, voicemail=0.8))
SEQ_SCAN = re.compile(r"Seq Scan on (?:call_log|recording)\b")
ANY = ""

# Filters by query string, each with the index that must answer it. A filter for a common value can use any index.
FILTERS = {
    "": "ix_call_log_created_at",
    "label=human": ANY,
    "label=undecided": ANY,
    "label=human&label=undecided": ANY,
    "reason=confident": ANY,
    "reason=no_speech": "ix_call_log_reason_created_at",
    "reason=too_short": "ix_call_log_reason_created_at",
    "reason=encrypted": "ix_call_log_reason_created_at",
    "reason=gave_up&reason=undecodable": "ix_call_log_reason_created_at",
    "state=waiting": "ix_call_log_open",
    "state=queued": "ix_call_log_analysis_state_created_at",
    "state=running": "ix_call_log_analysis_state_created_at",
    "state=queued&state=running": "ix_call_log_analysis_state_created_at",
    "state=judged": ANY,
    "state=failed": "ix_call_log_analysis_state_created_at",
    "state=not_applicable": ANY,
    "status=completed": ANY,
    "status=busy": ANY,
    "status=canceled": ANY,
    "status=ringing": "ix_call_log_open",
    "last=1d": "ix_call_log_created_at",
    "until=2020-01-01": "ix_call_log_created_at",
    "campaign=pilot": "ix_call_log_campaign_created_at",
    "campaign=campaign-5": ANY,
    "tag=escalated": "ix_call_log_tags",
    "tag=spring": ANY,
    "tag=spring&tag=batch-4": ANY,
    "disagreement=yes": ANY,
    "low_confidence=yes": ANY,
    "reviewed=yes": "pk_call_log",
    "reviewed=no": "ix_call_log_created_at",
    "q=%2B15000000123": "ix_call_log_to_number_created_at",
    f"q=CA{17:032x}": "pk_call_log",
    f"q=RE{11:032x}": "pk_recording",
    "label=human&last=7d&campaign=campaign-5": ANY,
    "label=undecided&campaign=campaign-5&last=60d": "ix_call_log_campaign_label_created_at",
    "label=human&campaign=pilot&reviewed=no": "ix_call_log_campaign_label_created_at",
}
SIZES = [20_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)])]


@pytest.fixture(scope="module", params=SIZES)
async def filled(
    request: pytest.FixtureRequest, server_url: str, test_run: str, anyio_backend: str
) -> AsyncIterator[Database]:
    async with filled_database(
        server_url, test_run, "many", lambda connection: fill(connection, request.param)
    ) as database:
        yield database


async def plans_of(database: Database, query: str, position: Position = NEWEST, size: int = 50) -> str:
    chosen = parse_filter(parse_qsl(query))
    async with database.transaction() as session:
        return await plans(session, lambda session: read_page(session, chosen, RULES, position, size=size))


@pytest.mark.parametrize("query", FILTERS)
async def test_a_filter_uses_an_index(filled: Database, query: str) -> None:
    found = await plans_of(filled, query)
    assert SEQ_SCAN.findall(found) == [], found
    assert FILTERS[query] in found, found


async def test_a_page_in_the_middle_and_a_batch_of_an_export_use_an_index(filled: Database) -> None:
    async with filled.transaction() as session:
        page = await read_page(session, parse_filter([]), RULES, NEWEST)
    assert page.older is not None
    for query in ("", "label=human", "campaign=campaign-5", "disagreement=yes"):
        for position in (Position(older_than=page.older), Position(newer_than=page.older)):
            assert SEQ_SCAN.findall(await plans_of(filled, query, position, EXPORT_BATCH)) == []


async def test_a_page_is_read_in_a_fraction_of_a_second(filled: Database) -> None:
    took: dict[str, float] = {}
    for query in FILTERS:
        began = perf_counter()
        async with filled.transaction() as session:
            await read_page(session, parse_filter(parse_qsl(query)), RULES, NEWEST)
        took[query] = perf_counter() - began
    assert median(took.values()) < 0.1, took
