"""Compiles a client with openapi-typescript, and runs it against the service."""

import shutil
from pathlib import Path

import pytest

from amd_service.database.pool import Database
from tests.support.generated_clients import DOCUMENT, require_review, run, served_calls, write_document
from tests.support.node_toolchain import FOLDER, OPENAPI_TYPESCRIPT, TSC

pytestmark = [pytest.mark.anyio, pytest.mark.node, pytest.mark.slow]

STRICT = ("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck")
TARGET = ("--target", "ES2022", "--lib", "DOM,DOM.Iterable,ES2023", "--module", "nodenext", "--types", "node")


async def test_a_client_by_openapi_typescript_lists_calls_and_posts_a_review(
    tmp_path: Path, database: Database
) -> None:
    write_document(tmp_path)
    shutil.copy(FOLDER / "client.mts", tmp_path)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    await run(tmp_path, "node", OPENAPI_TYPESCRIPT, DOCUMENT, "-o", "schema.mts")
    await run(tmp_path, "node", TSC, *STRICT, *TARGET, "client.mts")
    async with served_calls(database) as environment:
        # The service also answers a repetition, with the first review.
        for _ in range(2):
            await require_review(database, await run(tmp_path, "node", "client.mjs", environment=environment))
