"""What the doctor says where something cannot even be read: a report all the same."""

import json
from contextlib import aclosing

import pytest
from typer.testing import CliRunner

from amd_service.cli.doctor import Health, examine
from amd_service.cli.main import app
from amd_service.settings import Settings


def test_settings_that_cannot_be_read_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_PORT", "many")
    monkeypatch.setenv("AMD_LOG_LEVEL", "loud")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["check"], line["health"], line["text"].split()[0]) for line in found] == [
        ("settings", "fail", "AMD_PORT:"),
        ("settings", "fail", "AMD_LOG_LEVEL"),
    ]
    assert result.exit_code == 1
    assert "fail  settings  AMD_PORT" in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "cure"), [("mysql://x", "postgresql://"), ("postgresql://u:p[@127.0.0.1/amd", "percent-encode")]
)
async def test_a_database_url_that_cannot_be_read_does_not_end_the_report(url: str, cure: str) -> None:
    async with aclosing(examine(Settings(_env_file=None, database_url=url, model="/nowhere"))) as findings:  # type: ignore[type-var]
        found, model = [found async for found in findings if found.check in ("database", "schema", "model")]
    assert (found.check, found.health, cure in found.text) == ("database", Health.FAIL, True)
    assert model.check == "model"
