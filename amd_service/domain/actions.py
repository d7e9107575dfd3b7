"""Actions on a call after its verdict."""

from dataclasses import dataclass
from enum import StrEnum


class ActionKind(StrEnum):
    """Kind of action on a call that is still in progress."""

    HANG_UP = "hang_up"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Action:
    """The configured action for a label. `url`: URL of the TwiML for a redirect, None for `hang_up`."""

    kind: ActionKind
    url: str | None = None


class ActionState(StrEnum):
    """Progress of an action. Only `DUE` actions are claimed, so a request that may have succeeded is never repeated."""

    DUE = "due"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
