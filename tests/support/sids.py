"""SIDs that several tests use."""

from amd_service.domain import AccountSid, CallSid, RecordingSid

ACCOUNT = AccountSid("AC" + "a" * 32)
OTHER_ACCOUNT = AccountSid("AC" + "b" * 32)
CALL = CallSid("CA" + "1" * 32)
OTHER_CALL = CallSid("CA" + "2" * 32)
RECORDING = RecordingSid("RE" + "1" * 32)
SECOND_RECORDING = RecordingSid("RE" + "2" * 32)
