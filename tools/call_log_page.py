"""Generates docs/call_log.md from the comments of the tables and columns.

Run `python -m tools.call_log_page > docs/call_log.md`.
"""

import sys
from collections.abc import Iterator, Mapping

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from amd_service.calls.tables import Base, agreement, reviewed

_INTRODUCTION = """\
# The tables

Dashboards may depend on the table `call_log` and on the views `call_log_agreement` and `call_log_reviewed`. New
versions may add columns. If a column is renamed or its meaning changes, the major version changes too. The other tables
are internal and may change in any version.

`amd-service migrate --dashboard-role NAME` creates a role that may read only this table and these views. Set the role's
password with `\\password NAME` in psql.

This page is generated from the comments in the schema. To change it, edit the comments and run
`python -m tools.call_log_page > docs/call_log.md`.
"""

_ORDER = (
    "call_log",
    "recording",
    "verdict",
    "delivery",
    "review",
    "recheck",
    "annotation",
    "callback",
    "call_request",
    "sweep",
    "person",
    "person_session",
    "api_key",
    "saved_view",
)
_VIEWS = {"call_log_agreement": agreement, "call_log_reviewed": reviewed}


def document() -> str:
    """The whole page in Markdown."""
    tables = Base.metadata.tables
    lines = [line for name in _ORDER for line in _table(tables[name])]
    lines += [line for name, view in _VIEWS.items() for line in _view(name, view.DESCRIPTION, view.COLUMNS)]
    return _INTRODUCTION + "".join(lines)


def _table(table: Table) -> Iterator[str]:
    yield f"\n## `{table.name}`\n\n{table.comment}\n\n| column | type | null | meaning |\n|---|---|---|---|\n"
    for column in table.columns:
        yield f"| `{column.name}` | {_type(column)} | {'yes' if column.nullable else 'no'} | {column.comment} |\n"


def _view(name: str, description: str, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield f"\n## `{name}`\n\n{description}\n\n| column | type | meaning |\n|---|---|---|\n"
    for column, (kind, meaning) in columns.items():
        yield f"| `{column}` | {kind} | {meaning} |\n"


def _type(column: Column[object]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return column.type.compile(dialect=dialect).lower()


if __name__ == "__main__":
    sys.stdout.write(document())
