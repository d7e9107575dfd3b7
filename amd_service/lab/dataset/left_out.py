"""The recordings that a dataset leaves out, with the reasons."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TextIO

from amd_service.domain import Failure
from amd_service.errors import (
    AmdError,
    CredentialsMissing,
    MediaIncomplete,
    MediaNotYet,
    Permanent,
    TwilioUnavailable,
)
from amd_service.lab.dataset.whole_files import write_text

LEFT_OUT = "left_out.csv"
# Labels that are probably wrong.
SUSPICIOUS = "suspicious.csv"
# Reasons for which the same command may find the recording later.
TEMPORARY = frozenset({"unavailable", "no_credentials"})


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """A call or file that is not in the dataset. `name`: its CallSid or file. `reason`: one word for a count."""

    name: str
    reason: str
    detail: str

    @classmethod
    def of(cls, name: str, error: AmdError) -> "LeftOut":
        """Return the entry for a recording that could not be fetched or decoded."""
        return cls(name, _reason(error), str(error))


def _reason(error: AmdError) -> str:
    match error:
        case MediaIncomplete():
            return "incomplete"
        # An old recording that Twilio does not know was deleted.
        case MediaNotYet() | Permanent(failure=Failure.MEDIA_MISSING):
            return "gone"
        case TwilioUnavailable():
            return "unavailable"
        case CredentialsMissing():
            return "no_credentials"
        case Permanent():
            return error.failure
        case _:
            return "unreadable"


def count_by_reason(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Return the number of entries by reason, most frequent first."""
    return dict(Counter(each.reason for each in left_out).most_common())


def write_left_out(folder: Path, left_out: Sequence[LeftOut]) -> None:
    """Write `left_out.csv`. Raises DatasetUnusable if the disk is full."""

    def write(out: TextIO) -> None:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("name", "reason", "detail"))
        writer.writerows(map(astuple, sorted(left_out)))

    write_text(folder / LEFT_OUT, write)
