"""GET /calls.csv: the calls of a filter as a file for spreadsheets."""

import asyncio
import csv
import io

import pytest
from sqlalchemy import event, text

from amd_service.calls.call_filter import CallFilter
from amd_service.calls.tables import CallLog, Review
from amd_service.database.pool import Database
from amd_service.domain import Label, Role
from amd_service.operations import list_calls
from amd_service.web.pages.csv_export import to_csv
from tests.support.app import App, make_settings, open_app
from tests.support.call_rows import call, numbered_sid, store
from tests.support.sampling import make_rules
from tests.support.signed_in import sign_in

pytestmark = pytest.mark.anyio

NUMBER = "+15005550006"


async def rows(service: App, path: str = "/calls.csv") -> list[dict[str, str]]:
    response = await service.client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def test_every_column_of_the_selected_calls_is_exported_newest_first(service: App, database: Database) -> None:
    await store(
        database,
        call(1, label=Label.HUMAN, tags=["a", "b"], channels_mixed=False),
        call(2, label=Label.VOICEMAIL),
        call(3, label=Label.HUMAN),
    )
    await store(database, Review(call_sid=numbered_sid(1), reviewer="ada", answer="voicemail"))
    newest, oldest = await rows(service, "/calls.csv?label=human")
    assert (newest["call_sid"], oldest["call_sid"]) == (numbered_sid(3), numbered_sid(1))
    assert list(oldest) == [*CallLog.__table__.columns.keys(), "review_answer"]
    assert oldest["tags"] == "a b"
    assert oldest["channels_mixed"] == "false"
    assert oldest["created_at"] == "2026-11-22T10:01:00+00:00"
    assert oldest["review_answer"] == "voicemail"
    assert newest["campaign"] == newest["review_answer"] == ""


async def test_an_export_has_all_batches(service: App, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_calls, "EXPORT_BATCH", 2)
    await store(database, *(call(number) for number in range(5)))
    assert [row["call_sid"] for row in await rows(service)] == [numbered_sid(number) for number in range(4, -1, -1)]


async def test_an_export_of_no_calls_has_only_the_names_of_the_columns(service: App) -> None:
    assert await rows(service) == []
    assert (await service.client.get("/calls.csv")).text.startswith('"call_sid","account_sid"')


async def test_a_slow_client_holds_no_transaction(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_calls, "EXPORT_BATCH", 1)
    await store(database, call(1), call(2))
    rules = make_rules(make_settings())
    batches = list_calls.export_calls(database, CallFilter(), rules, asyncio.Lock())
    await anext(batches)
    async with database.transaction() as session:
        open_transactions = await session.scalar(
            text(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and state like 'idle in transaction%'"
            )
        )
    assert open_transactions == 0
    assert [call.call_sid for call in (await anext(batches)).calls] == [numbered_sid(1)]


async def test_many_exports_read_one_batch_at_a_time(service: App, database: Database) -> None:
    await store(database, call(1))
    running, most = 0, 0

    def begin(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)

    def end(*_: object) -> None:
        nonlocal running
        running -= 1

    async with database.transaction() as session:
        connection = (await session.connection()).sync_connection
    assert connection is not None
    event.listen(connection.engine, "begin", begin)
    event.listen(connection.engine, "commit", end)
    await asyncio.gather(*(rows(service) for _ in range(10)))
    assert most == 1


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", '=HYPERLINK("x")', "a\nb"]
)
def test_no_cell_is_a_formula(cell: str) -> None:
    ((read,),) = csv.reader(io.StringIO(to_csv([[cell]]), newline=""))
    expected = cell if cell == "a\nb" else f"'{cell}"
    assert read == expected


async def test_text_from_outside_is_no_formula_in_the_file(service: App, database: Database) -> None:
    await store(database, call(1, to_number="=cmd|' /C calc'!A0", campaign='=A1,"'))
    (row,) = await rows(service)
    assert row["to_number"] == "'=cmd|' /C calc'!A0"
    assert row["campaign"] == "'=A1,\""


async def test_numbers_are_masked_for_people_who_may_not_see_them(service: App, database: Database) -> None:
    await store(database, call(1, to_number=NUMBER, from_number=NUMBER))
    (row,) = await rows(service)
    assert (row["to_number"], row["from_number"]) == (f"'{NUMBER}",) * 2
    await sign_in(service, Role.VIEWER)
    (row,) = await rows(service)
    assert (row["to_number"], row["from_number"]) == ("'+15•••06",) * 2


async def test_an_outage_is_a_response_with_status_503(closed_database: Database) -> None:
    service = open_app(closed_database)
    assert (await service.client.get("/calls.csv")).status_code == 503
    await service.client.aclose()


async def test_a_filter_that_cannot_be_read_is_refused(service: App) -> None:
    assert (await service.client.get("/calls.csv?label=robot")).status_code == 400
