"""Base of all tables: naming convention, column types and functions for check constraints."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase

# Every constraint gets a name, so that a later migration can drop the constraint. Postgres would choose a name that the
# migration does not know.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {
        str: Text(),
        float: DOUBLE_PRECISION(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[list[str]]: JSONB(),
    }


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the SQL condition that a column holds one of `values`.

    A check constraint with this condition also allows null.
    """
    return f"{column} in {sql_list(values)}"


def sql_list(values: Iterable[str]) -> str:
    """Return the values as a SQL list in parentheses, for `in` and `not in`."""
    return f"({', '.join(repr(str(value)) for value in values)})"


def closed_set(column: str, values: Iterable[str]) -> CheckConstraint:
    """Return a constraint that a text column holds one of `values`.

    Unlike the values of a Postgres enum, these values can be removed by a migration.
    """
    return CheckConstraint(one_of(column, values), name=column)


def probability(column: str) -> CheckConstraint:
    """Return a constraint that a column lies in [0, 1].

    The constraint refuses NaN too, because NaN compares greater than every number.
    """
    return CheckConstraint(f"{column} >= 0 and {column} <= 1", name=column)


def view_comments(view: str, description: str, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return SQL statements that set the comments of a view and of its columns, which psql's `\\d+` shows.

    `columns`: type and meaning of each column.
    """
    on_columns = [(f"column {view}.{name}", meaning) for name, (_, meaning) in columns.items()]
    described = [(f"view {view}", description), *on_columns]
    return [f"comment on {what} is '{text.replace(chr(39), chr(39) * 2)}'" for what, text in described]
