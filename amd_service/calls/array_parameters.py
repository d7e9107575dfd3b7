"""SQL conditions on many values, as one parameter."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, literal


def any_of(values: Iterable[str]) -> ColumnElement[Any]:
    """SQL: any of these values, as one parameter. The statement is then the same for any number of values."""
    return any_(literal(sorted(values), ARRAY(Text)))
