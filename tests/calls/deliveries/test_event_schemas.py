"""A payload is what the OpenAPI document says."""

import json

import jsonschema_rs
import pytest

from amd_service.calls.event_schemas import COMPONENT, event_schemas
from amd_service.database.pool import Database
from tests.support.deliveries import deliver, status
from tests.support.outbox import URL, judge_call, rows, with_backends

pytestmark = pytest.mark.anyio


async def test_every_payload_fits_the_schema(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await judge_call(opened)
        await deliver(opened, status("no-answer", call_sid="CA" + "9" * 32))
    schema = event_schemas()[COMPONENT]
    written = await rows(database)
    assert [row.type for row in written] == ["call.judged", "call.not_applicable"]
    for row in written:
        event = json.loads(row.payload)
        jsonschema_rs.Draft202012Validator(schema).validate(event)
        assert event["data"].keys() == schema["properties"]["data"]["properties"].keys()
