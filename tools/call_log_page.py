"""Generates docs/call_log.md from the comments of the tables and columns.

Run `python -m tools.call_log_page > docs/call_log.md`.
"""

import sys
from collections.abc import Iterator

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from amd_service.calls.tables import Base, agreement

_INTRODUCTION = """\
# The tables

Dashboards may depend on the table `call_log` and on the view `call_log_agreement`. New versions may add columns. If a
column is renamed or its meaning changes, the major version changes too. The other tables are internal and may change in
any version.

`amd-service migrate --dashboard-role NAME` creates a role that may read only this table and this view. Set the role's
password with `\\password NAME` in psql.

This page is generated from the comments in the schema. To change it, edit the comments and run
`python -m tools.call_log_page > docs/call_log.md`.
"""

_ORDER = ("call_log", "recording", "verdict", "callback", "call_request", "sweep")


def document() -> str:
    """The whole page in Markdown."""
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
