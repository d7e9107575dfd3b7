"""The result of one sweep."""

from dataclasses import dataclass

from amd_service.domain import AccountSid


@dataclass(slots=True)
class SweepReport:
    """Result of sweeping one account.

    - `calls_asked`: calls whose data Twilio returned.
    - `calls_failed`: calls that were skipped after a failed request.
    - `calls_unknown`: our calls that Twilio does not know.
    - `calls_new`, `recordings_new`: calls and recordings that no callback had reported.
    - `calls_changed`: calls whose stored data changed, new calls included.
    - `error`: why the sweep was aborted; None if it was completed.
    """

    account_sid: AccountSid
    calls_asked: int = 0
    calls_failed: int = 0
    calls_unknown: int = 0
    calls_new: int = 0
    recordings_new: int = 0
    calls_changed: int = 0
    error: str | None = None
