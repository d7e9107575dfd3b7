"""Describes a value that pydantic refused in plain words. A message that names no field begins with "must" or "is"."""

from collections.abc import Mapping

from pydantic_core import ErrorDetails

# By pydantic's error type (https://docs.pydantic.dev/latest/errors/validation_errors/). The limits are in the context
# of the error.
_REQUIREMENTS: Mapping[str, str] = {
    "missing": "is missing",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number with fewer digits",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "enum": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty",
    "list_type": "must be a list in square brackets",
    "dict_type": "must be a table, e.g. {{OutboundAPI = 1}}",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "string_type": "must be a text in quotation marks",
}


def requirement(item: ErrorDetails) -> str:
    """Return the requirement that the value does not meet, for example `must be at least 1`."""
    if item["type"] == "value_error":
        return item["msg"].removeprefix("Value error, ")
    return _REQUIREMENTS.get(item["type"], "is invalid").format_map(item.get("ctx", {})).replace("'", "")
