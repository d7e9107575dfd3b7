"""Generates the table in docs/settings.md. Run `python -m tools.settings_page`."""

import re
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from amd_service.settings import Settings, environment_name

PAGE = Path("docs/settings.md")
# Defaults that depend on the user who runs the service.
_VARYING_DEFAULTS = {"data_dir": "`~/.local/share/amd-service`, for root `/var/lib/amd-service`"}
_BETWEEN = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)


def settings_table() -> str:
    """Return all settings as a Markdown table, in the order of the class Settings."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join(["", "| variable | default | meaning |", "|---|---|---|", *rows, "", ""])


def with_settings(page: str) -> str:
    """Return the page with a new table of settings."""
    return _BETWEEN.sub(lambda _: settings_table(), page)


def _row(name: str, field: FieldInfo) -> str:
    default = _VARYING_DEFAULTS.get(name) or _default(field)
    return f"| `{environment_name(name)}` | {default} | {field.description} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in (None, [], {}) or value is PydanticUndefined:
        return ""
    home = str(Path.home())
    return f"`{str(value).replace(home, '~')}`"


if __name__ == "__main__":
    PAGE.write_text(with_settings(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
