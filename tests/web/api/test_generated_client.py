"""Generates a client with openapi-python-client, and runs it against the service."""

import sys
from pathlib import Path

import pytest

from amd_service.database.pool import Database
from tests.support.generated_clients import DOCUMENT, require_review, run, served_calls, write_document

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PROGRAM = """
import json, os
from amd_client import AuthenticatedClient
from amd_client.api.default import add_review, list_calls
from amd_client.models import ListCallsLabelItem, ReviewAnswer, ReviewRequest

with AuthenticatedClient(os.environ["SERVICE_URL"], os.environ["SERVICE_KEY"]) as client:
    page = list_calls.sync(client=client, label=[ListCallsLabelItem.VOICEMAIL], limit=1)
    call = page.calls[0]
    body = ReviewRequest(answer=ReviewAnswer.HUMAN)
    review = add_review.sync(call.call_sid, client=client, body=body, idempotency_key="review-1")
print(json.dumps({"to": call.to_number, "next": page.next_, "review": review.id}))
"""


async def test_a_client_by_openapi_python_client_lists_calls_and_posts_a_review(
    tmp_path: Path, database: Database
) -> None:
    write_document(tmp_path)
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    options = ("--path", DOCUMENT, "--config", "config.yaml", "--meta", "none", "--output-path", "amd_client")
    # The generator omits uploads of raw audio and streamed responses, which it does not support, and warns.
    await run(tmp_path, sys.executable, "-m", "openapi_python_client", "generate", *options)
    (tmp_path / "program.py").write_text(PROGRAM)
    async with served_calls(database) as environment:
        for _ in range(2):
            output = await run(tmp_path, sys.executable, "-W", "error", "program.py", environment=environment)
            await require_review(database, output)
