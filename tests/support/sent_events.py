"""A request as the service sends it to a backend."""

from amd_service.domain import CallSid, DeliveryJob
from amd_service.operations.deliver.sender import open_sender
from amd_service.settings import load_settings
from tests.support.sids import CALL

PAYLOAD = (
    '{"type":"call.judged","timestamp":"2026-11-28T12:00:00+00:00",'
    f'"data":{{"sequence":1,"call_sid":"{CALL}","label":"human","reason":"confident","tags":["Ω"]}}}}'
)


async def signed_headers(*secrets: str) -> dict[str, str]:
    """The headers of a request with PAYLOAD."""
    job = DeliveryJob(1, CallSid(CALL), 1, "https://backend.example.com/", PAYLOAD, 1, 60.0, "worker#1")
    async with open_sender(load_settings(delivery_secret=",".join(secrets))) as sender:
        return sender.headers(job)
