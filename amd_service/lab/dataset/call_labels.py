"""Labels of calls: from the answers of reviewers, or from a CSV file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from amd_service.calls.labelled_recordings import LatestAnswer
from amd_service.domain import CallSid, ReviewAnswer, is_sid
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.left_out import LeftOut
from amd_service.lab.dataset.metadata import read_rows
from amd_service.lab.dataset.phone_numbers import raise_if_phone_number


@dataclass(frozen=True, slots=True)
class CallLabel:
    """The label of a call. `columns`: further columns of the metadata, such as how the call was drawn for review."""

    call_sid: CallSid
    label: str
    language: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewedLabels:
    """Labels from reviews. `newest`: time of the latest answer that was used, None without answers."""

    labels: Sequence[CallLabel]
    left_out: Sequence[LeftOut]
    newest: datetime | None


def combine_answers(answers: Iterable[LatestAnswer]) -> ReviewedLabels:
    """Combine the latest answers of all reviewers of each call.

    `cannot_tell` counts as no answer. A call gets a label only if all other answers are equal.
    """
    by_call: defaultdict[CallSid, list[LatestAnswer]] = defaultdict(list)
    for answer in answers:
        by_call[answer.call_sid].append(answer)
    labels, left_out = [], []
    for call_sid, all_answers in by_call.items():
        given = [answer for answer in all_answers if answer.answer is not ReviewAnswer.CANNOT_TELL]
        found = sorted({answer.answer for answer in given})
        if len(found) == 1:
            labels.append(CallLabel(call_sid, found[0], columns=_review_columns(given)))
        elif found:
            left_out.append(LeftOut(call_sid, "disputed", f"reviewers answered {' and '.join(found)}"))
        else:
            left_out.append(LeftOut(call_sid, "cannot_tell", "no reviewer could tell"))
    newest = max((answer.created_at for all_answers in by_call.values() for answer in all_answers), default=None)
    return ReviewedLabels(labels, left_out, newest)


def _review_columns(answers: Sequence[LatestAnswer]) -> dict[str, str]:
    """Return the columns with which an estimate can weight the call, see docs/decisions/0025."""
    columns = {"source": "reviews", "reviewers": str(len(answers))}
    drawn = next((answer for answer in answers if answer.probability is not None), None)
    if drawn is not None:
        columns |= {"stratum": drawn.stratum or "", "probability": f"{drawn.probability:g}"}
    return columns


def read_label_table(path: Path) -> list[CallLabel]:
    """Read a CSV file with the columns `call_sid` and `label`, and optionally `language`.

    Raises DatasetUnusable: an invalid CallSid, an empty label, two labels for a call, or a phone number.
    """
    labels: dict[CallSid, CallLabel] = {}
    for line, row in read_rows(path, ("call_sid", "label")):
        if not any(row.values()):
            continue
        raise_if_phone_number([*row, *row.values()], f"{path}, line {line},")
        call_sid, label = row["call_sid"], row["label"].casefold()
        if not is_sid(call_sid, "CA"):
            raise DatasetUnusable(f"{path}, line {line}: {call_sid!r} is not a CallSid: CA and 32 hexadecimal digits")
        if not label:
            raise DatasetUnusable(f"{path}, line {line}: the label is empty; write human, voicemail or another label")
        new = CallLabel(CallSid(call_sid), label, row.get("language") or None, {"source": "labels"})
        if labels.setdefault(new.call_sid, new) != new:
            raise DatasetUnusable(f"{path}, line {line}: {call_sid} has two labels; keep one of its rows")
    if not labels:
        raise DatasetUnusable(f"{path} has no rows: add a line with a CallSid and a label for each call")
    return list(labels.values())
