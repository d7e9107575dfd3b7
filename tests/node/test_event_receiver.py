"""The receiver of docs/nextjs verifies events with the reference library for Node.js."""

import pytest

from tests.support.backend import Backend
from tests.support.sent_events import PAYLOAD, signed_headers
from tests.support.sids import CALL
from tests.support.webhook_receiver import OLD_SECRET, SECRET

pytestmark = [pytest.mark.anyio, pytest.mark.node]


async def test_an_event_is_accepted_with_each_of_two_secrets(backend: Backend) -> None:
    headers = await signed_headers(SECRET, OLD_SECRET)
    for secret in (SECRET, OLD_SECRET):
        answer = await backend.receive_event(PAYLOAD, headers, AMD_DELIVERY_SECRET=secret)
        assert (answer.status, answer.body) == (200, {"received": CALL})


async def test_a_changed_event_is_refused(backend: Backend) -> None:
    changed = PAYLOAD.replace("human", "voicemail")
    answer = await backend.receive_event(changed, await signed_headers(SECRET), AMD_DELIVERY_SECRET=SECRET)
    assert answer.status == 401
