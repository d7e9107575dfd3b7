"""Runs programs with clients that are generated from the OpenAPI document, against the service."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.web.api.openapi.document import describe
from amd_service.web.app import SERVICE_ROUTES, create_app
from tests.support.app import API_KEY, open_app
from tests.support.review_rows import heard_call, store_calls, stored_reviews

DOCUMENT = "openapi.json"


@asynccontextmanager
async def served_calls(database: Database) -> AsyncIterator[dict[str, str]]:
    """The service with two calls that are labelled voicemail. Yields the environment of a client."""
    await store_calls(
        database, *(heard_call(number, Label.VOICEMAIL, to_number=f"+1500555000{number}") for number in (1, 2))
    )
    service = open_app(database)
    async with serve_on_loopback(create_app(service.runtime)) as url:
        yield {"SERVICE_URL": url, "SERVICE_KEY": API_KEY}
    await service.client.aclose()


def write_document(folder: Path) -> None:
    (folder / DOCUMENT).write_text(json.dumps(describe(SERVICE_ROUTES)))


async def run(folder: Path, *command: object, environment: dict[str, str] | None = None) -> str:
    """Run a command in a folder, and return its output."""
    process = await asyncio.create_subprocess_exec(
        *(str(part) for part in command),
        cwd=folder,
        env=os.environ | (environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def require_review(database: Database, output: str) -> None:
    """Require that the client read the newest call and reviewed it once."""
    said: dict[str, Any] = json.loads(output)
    assert said["to"] == "+15005550002"
    assert said["next"]
    reviews: Sequence[Any] = await stored_reviews(database)
    assert [(row.id, row.answer, row.idempotency_key) for row in reviews] == [(said["review"], "human", "review-1")]
