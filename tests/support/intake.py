"""The callbacks of one call."""

from amd_service.domain import CallSid
from tests.support.deliveries import recording, status

INITIATED = status("initiated", from_number="+15005550006", to_number="+15005550001")
RINGING = status("ringing")
ANSWERED = status("in-progress", answered_by="human", machine_detection_ms=2900)
COMPLETED = status("completed", duration_s=42)
RECORDED = recording("completed", duration_s=30, channels=2, error_code=0)
PARENT = CallSid("CA" + "7" * 32)
