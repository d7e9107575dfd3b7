"""GET /calls.csv: the calls that a filter selects, as a CSV file."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from amd_service.calls.call_pages import CallPage
from amd_service.calls.tables import CallLog
from amd_service.domain import AccessScope, CallSid, Principal
from amd_service.operations.list_calls import export_calls
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.masking import FREE_TEXTS, masked, masked_text
from amd_service.web.pages.filter_form import call_filter_of
from amd_service.web.pages.rendering import HEADERS
from amd_service.web.state import runtime_of, state_of

COLUMNS = tuple(CallLog.__table__.columns.keys())
NUMBERS = frozenset({"from_number", "to_number"})
REVIEW = "review_answer"

# A spreadsheet takes a cell for a formula if its text begins with one of these characters. The last four are the
# full-width forms. Source: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# Such a character at the beginning can hide one of the characters above.
BLANKS = ("\t", "\r", "\n")


async def export(request: Request) -> Response:
    """GET /calls.csv: all columns of `call_log`, newest call first, and what the first reviewer heard."""
    runtime = runtime_of(request)
    rules, lock = runtime.rules, state_of(request).exports
    batches = export_calls(runtime.database, call_filter_of(request), rules, lock)
    # The first batch is read before the response begins, so that an outage of the database is a 503.
    first = await anext(batches)
    return StreamingResponse(
        _lines(first, batches, principal_of(request)),
        media_type="text/csv; header=present",
        headers=dict(HEADERS) | {"content-disposition": 'attachment; filename="calls.csv"'},
    )


async def _lines(first: CallPage, others: AsyncIterator[CallPage], principal: Principal) -> AsyncIterator[str]:
    yield to_csv([[*COLUMNS, REVIEW]])
    yield _written(first, principal)
    async for page in others:
        yield _written(page, principal)


def _written(page: CallPage, principal: Principal) -> str:
    cells = ([_cell(call, name, principal) for name in COLUMNS] for call in page.calls)
    answers = (page.answers.get(CallSid(call.call_sid)) for call in page.calls)
    return to_csv([*row, answer] for row, answer in zip(cells, answers, strict=True))


def _cell(call: CallLog, column: str, principal: Principal) -> object:
    value = getattr(call, column)
    if column in NUMBERS and not principal.sees_numbers:
        return masked(value, principal)
    match value:
        case str() if column in FREE_TEXTS:
            return masked_text(value, principal)
        case datetime():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case list():
            return " ".join(value)
    return value


def to_csv(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV (RFC 4180) in which no cell is a formula."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([without_formula(cell) for cell in row] for row in rows)
    return written.getvalue()


def without_formula(cell: object) -> object:
    """Return the cell, with an apostrophe in front of a text that a spreadsheet takes for a formula."""
    is_formula = isinstance(cell, str) and (cell.startswith(BLANKS) or cell.lstrip().startswith(FORMULA_STARTS))
    return f"'{cell}" if is_formula else cell


ROUTE = Route("/calls.csv", with_scope(AccessScope.READ, export), methods=["GET"])
