"""Checks the OpenAPI document with Redocly's recommended rules."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from amd_service.web.api.openapi.document import describe
from amd_service.web.app import SERVICE_ROUTES
from tests.support.node_toolchain import REDOCLY

pytestmark = pytest.mark.node


@pytest.mark.parametrize("server_url", ["/", "https://amd.example.com/prefix"])
def test_the_document_passes_redoclys_recommended_rules(tmp_path: Path, server_url: str) -> None:
    run = lint(tmp_path, describe(SERVICE_ROUTES, server_url))
    assert run.returncode == 0, run.stdout
    assert "warning" not in run.stdout


def test_a_document_without_servers_does_not_pass(tmp_path: Path) -> None:
    document = describe(SERVICE_ROUTES)
    del document["servers"]
    assert lint(tmp_path, document).returncode == 1


def lint(folder: Path, document: dict[str, object]) -> subprocess.CompletedProcess[str]:
    (folder / "openapi.json").write_text(json.dumps(document))
    return subprocess.run(
        ("node", REDOCLY, "lint", "--extends", "recommended", "openapi.json"),
        cwd=folder,
        # Without these variables Redocly sends usage data and looks for a newer version of itself.
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
