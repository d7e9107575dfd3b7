"""Validate requests against Twilio's OpenAPI description: method, path, and names and types of parameters.

The extracts in this folder contain only the operations that the service uses. Their source is
https://github.com/twilio/twilio-oai, folder spec/json. To use a newer copy of the complete description of the API
without Voice Insights, set AMD_TEST_TWILIO_OPENAPI to the path of the copy.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from amd_service.simulator.twilio.rest_api import RestRequest

EXTRACT = Path(__file__).with_name("twilio_api_v2010.json")
INSIGHTS = Path(__file__).with_name("twilio_insights_v1.json")
FORM = "application/x-www-form-urlencoded"

Schema = Mapping[str, Any]


@cache
def twilio_description() -> "Description":
    """The OpenAPI description for tests."""
    path = Path(os.environ.get("AMD_TEST_TWILIO_OPENAPI", EXTRACT))
    main, insights = (json.loads(each.read_text(encoding="utf-8")) for each in (path, INSIGHTS))
    schemas = main["components"]["schemas"] | insights["components"]["schemas"]
    return Description({"paths": main["paths"] | insights["paths"], "components": {"schemas": schemas}})


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """An OpenAPI 3.0 document."""

    document: Mapping[str, Any]

    def violations(self, request: RestRequest) -> list[str]:
        """One line for each violation of the description by a request. Empty for a valid request."""
        found = self._operation(request)
        if found is None:
            return [f"{request.method} {request.path} is not an operation"]
        path_values, operation = found
        declared = operation.get("parameters", [])
        paths = {p["name"]: p["schema"] for p in declared if p["in"] == "path"}
        queries = {p["name"]: p["schema"] for p in declared if p["in"] == "query"}
        body = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
        required = {p["name"] for p in declared if p["in"] == "query" and p.get("required")}
        problems = [
            *self._parameter_violations(list(path_values.items()), paths, set()),
            *self._parameter_violations(request.query, queries, required),
            *self._parameter_violations(request.form, body.get("properties", {}), set(body.get("required", []))),
        ]
        return [f"{request.method} {request.path}: {problem}" for problem in problems]

    def _operation(self, request: RestRequest) -> tuple[dict[str, str], Schema] | None:
        for template, methods in self.document["paths"].items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+?)", re.escape(template))
            match = re.fullmatch(pattern, request.path)
            if match and request.method.lower() in methods:
                return match.groupdict(), methods[request.method.lower()]
        return None

    def _parameter_violations(self, given: Any, declared: Mapping[str, Schema], required: set[str]) -> Iterator[str]:
        values: dict[str, list[str]] = {}
        for name, value in given:
            values.setdefault(name, []).append(value)
        yield from (f"{name} is missing" for name in sorted(required - set(values)))
        for name, found in values.items():
            if name not in declared:
                yield f"{name} is not a parameter"
                continue
            schema = self._resolved(declared[name])
            is_array = schema.get("type") == "array"
            if len(found) > 1 and not is_array:
                yield f"{name} is given {len(found)} times"
            for value in found:
                problem = _problem(value, self._resolved(schema["items"]) if is_array else schema)
                if problem:
                    yield f"{name}={value!r} {problem}"

    def _resolved(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        found: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return self._resolved(found)


def _problem(value: str, schema: Schema) -> str | None:
    """The violation of one query or form value, None if it is valid."""
    kind, words = schema.get("type", "string"), schema.get("enum")
    if kind == "integer":
        return _number_problem(value, schema)
    if kind == "boolean" and value not in ("true", "false"):
        return "must be true or false"
    if words is not None and value not in words:
        return f"must be one of {words}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return "is too short or too long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"does not match {schema['pattern']}"
    return None if _fits_format(value, schema.get("format")) else f"is not a valid {schema['format']}"


def _number_problem(value: str, schema: Schema) -> str | None:
    if not re.fullmatch(r"-?[0-9]+", value):
        return "is not an integer"
    in_range = schema.get("minimum", int(value)) <= int(value) <= schema.get("maximum", int(value))
    return None if in_range else "is out of range"


def _fits_format(value: str, name: str | None) -> bool:
    """Whether a value has this format. Formats without rules (`endpoint`, `phone-number`, `twiml`) fit every value."""
    if name == "uri":
        parts = urlsplit(value)
        return bool(parts.scheme and parts.netloc) and " " not in value
    try:
        if name == "date-time":
            return "T" in value and datetime.fromisoformat(value).tzinfo is not None
        if name == "date":
            return bool(date.fromisoformat(value))
    except ValueError:
        return False
    return True
