"""Invalid settings and database URLs still produce a report."""

import json
from contextlib import aclosing

import pytest
from typer.testing import CliRunner

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import Health
from amd_service.cli.main import app
from amd_service.settings import Settings


def test_invalid_settings_are_reported_as_failed_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_PORT", "many")
    monkeypatch.setenv("AMD_LOG_LEVEL", "loud")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["check"], line["health"], line["text"].split()[0]) for line in found] == [
        ("settings", "fail", "AMD_PORT=many:"),
        ("settings", "fail", "AMD_LOG_LEVEL=loud:"),
    ]
    assert result.exit_code == 1
    assert "fail  settings  AMD_PORT" in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "cure"), [("mysql://x", "postgresql://"), ("postgresql://u:p[@127.0.0.1/amd", "percent-encode")]
)
async def test_an_invalid_database_url_fails_one_check_and_the_other_checks_run(url: str, cure: str) -> None:
    async with aclosing(run_checks(Settings(_env_file=None, database_url=url, model="/nowhere"))) as results:  # type: ignore[type-var]
        database, model = [result async for result in results if result.check in ("database", "schema", "model")]
    assert (database.check, database.health, cure in database.text) == ("database", Health.FAIL, True)
    assert model.check == "model"
