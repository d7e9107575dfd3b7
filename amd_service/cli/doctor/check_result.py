"""The result of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`fail`: part of the service cannot work. `warn`: the service works, with a risk or a limitation."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The health of one part of the installation. `text` contains the cure if `health` is not `ok`."""

    check: str
    health: Health
    text: str
