"""Compiles a client with openapi-python-client, and runs it against the service."""

import shutil
import sys
from pathlib import Path

import pytest

from amd_service.database.pool import Database
from tests.support.client_generator import FOLDER, GENERATOR, PYTHON
from tests.support.generated_clients import DOCUMENT, require_review, run, served_calls, write_document

pytestmark = [pytest.mark.anyio, pytest.mark.client_generator, pytest.mark.slow]

GENERATE = ("generate", "--path", DOCUMENT, "--meta", "none", "--output-path", "amd_client")
PROGRAM = "review_newest.py"


async def test_a_client_by_openapi_python_client_lists_calls_and_posts_a_review(
    tmp_path: Path, database: Database
) -> None:
    write_document(tmp_path)
    shutil.copy(FOLDER / PROGRAM, tmp_path)
    await run(tmp_path, GENERATOR, *GENERATE, "--config", FOLDER / "generator.yml")
    await run(tmp_path, sys.executable, "-m", "mypy", "--strict", "--python-executable", PYTHON, "amd_client", PROGRAM)
    async with served_calls(database) as environment:
        # The service also answers a repetition, with the first review.
        for _ in range(2):
            await require_review(database, await run(tmp_path, PYTHON, PROGRAM, environment=environment))
