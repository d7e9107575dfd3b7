"""Writes docs/call_log.md from the comments in the tables.

Run `python -m tools.call_log_page > docs/call_log.md`.
"""

import sys
from collections.abc import Iterator

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from amd_service.calls.tables import Base, agreement

_INTRODUCTION = """\
# The tables

The table `call_log` and its view `call_log_agreement` are the contract with dashboards. New columns may appear, but
renaming one or changing its meaning needs a new major version. The other tables are internal and may change.
`amd-service migrate --dashboard-role NAME` creates a role that may read only the table and the view. Set the role's
password with `\\password NAME` in psql.

`python -m tools.call_log_page > docs/call_log.md` generates this page from the comments in the schema; edit those.
"""

_ORDER = ("call_log", "recording", "verdict", "callback", "call_request", "sweep")


def document() -> str:
    """Every table, view and column in Markdown."""
    tables = Base.metadata.tables
    return _INTRODUCTION + "".join((*(line for name in _ORDER for line in _table(tables[name])), *_agreement()))


def _table(table: Table) -> Iterator[str]:
    yield f"\n## `{table.name}`\n\n{table.comment}\n\n| column | type | null | meaning |\n|---|---|---|---|\n"
    for column in table.columns:
        yield f"| `{column.name}` | {_type(column)} | {'yes' if column.nullable else 'no'} | {column.comment} |\n"


def _agreement() -> Iterator[str]:
    yield f"\n## `call_log_agreement`\n\n{agreement.DESCRIPTION}\n\n| column | type | meaning |\n|---|---|---|\n"
    for name, (kind, meaning) in agreement.COLUMNS.items():
        yield f"| `{name}` | {kind} | {meaning} |\n"


def _type(column: Column[object]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return column.type.compile(dialect=dialect).lower()


if __name__ == "__main__":
    sys.stdout.write(document())
