"""The result of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`fail`: part of the service cannot work. `warn`: it works, but a risk or a limitation remains."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The health of what was checked, with the cure in `text` if it is not ok."""

    check: str
    health: Health
    text: str
