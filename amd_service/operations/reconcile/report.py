"""The result of one sweep."""

from dataclasses import dataclass

from amd_service.domain import AccountSid


@dataclass(slots=True)
class SweepReport:
    """Result of sweeping one account. `error`: why the sweep was aborted, None if it was not.

    `calls_asked`: calls that Twilio described; `calls_failed`: calls that Twilio could not answer for and that were
    skipped; `calls_unknown`: our calls that Twilio does not know; `calls_new`, `recordings_new`: those that no callback
    had reported; `calls_changed`: rows that changed, new ones included.
    """

    account_sid: AccountSid
    calls_asked: int = 0
    calls_failed: int = 0
    calls_unknown: int = 0
    calls_new: int = 0
    recordings_new: int = 0
    calls_changed: int = 0
    error: str | None = None
