"""The dashboards of deploy/grafana, and Grafana's macros and variables with the values that the tests choose."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def dashboard(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def targets(name: str, key: str) -> Iterator[tuple[str, str]]:
    """The title of the panel and the query of each target. `key`: the member that holds the query."""
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target[key]


def expand_sql(query: str, since: datetime, until: datetime, variables: Mapping[str, str]) -> str:
    """Expand macros as the page about Grafana's Postgres data source documents them.

    `variables`: value per variable, already in the form that the format (`:sqlstring`) gives it.
    https://grafana.com/docs/grafana/latest/datasources/postgres/
    """
    first, last = f"'{since.isoformat()}'", f"'{until.isoformat()}'"
    query = query.replace("$__interval", "1h").replace("$__timeFrom()", first).replace("$__timeTo()", last)
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {first} AND {last}", query)
    group = r'floor(extract(epoch from \1)/3600)*3600 AS "time"'
    query = re.sub(r"\$__timeGroupAlias\((\w+), *1h\)", group, query)
    return _with_variables(query, variables)


def expand_promql(query: str, variables: Mapping[str, str]) -> str:
    """https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/"""
    return _with_variables(query.replace("$__rate_interval", "1m"), variables)


def _with_variables(query: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        query = re.sub(rf"\$\{{{name}(:\w+)?\}}|\${name}\b", value.replace("\\", r"\\"), query)
    assert "$" not in query, f"unknown macro or variable: {query}"
    return query
