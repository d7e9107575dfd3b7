"""Labelled recordings before their audio is fetched: from calls, and from a folder of files."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from amd_service.calls.labelled_recordings import RecordedCall
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.call_labels import CallLabel
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.left_out import LeftOut
from amd_service.lab.dataset.phone_numbers import raise_if_phone_number
from amd_service.lab.synthesis.voices import Split

# Columns by which calls can be grouped.
CALL_GROUPS = ("number", "day", "call")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recording that shall be in the dataset. `name`: of its file, without suffix. `origin`: where its audio is."""

    name: str
    label: str
    group: str
    language: str | None
    origin: RecordedCall | LabelledFile
    split: Split | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name of the recording for people: its CallSid, or its file in the source."""
        return self.columns.get("source_file", self.name)


def candidates_of_calls(
    labels: Iterable[CallLabel], calls: Sequence[RecordedCall], group_by: str
) -> tuple[list[Candidate], list[LeftOut]]:
    """Return the labelled calls with a recording, and those without one.

    `group_by`: `number` (the called number), `day` (of the answer, in UTC) or `call`.
    """
    by_sid = {call.call_sid: call for call in calls}
    groups = _name_groups(calls, group_by)
    candidates, left_out = [], []
    for each in labels:
        call = by_sid.get(each.call_sid)
        if call is None:
            left_out.append(LeftOut(each.call_sid, "no_recording", "the database has no recording of this call"))
        else:
            sids = {"call_sid": call.call_sid, "recording_sid": call.recording_sid}
            group = groups[call.call_sid]
            candidates.append(
                Candidate(call.call_sid, each.label, group, each.language, call, columns=sids | dict(each.columns))
            )
    return candidates, left_out


def _name_groups(calls: Sequence[RecordedCall], group_by: str) -> dict[str, str]:
    """Return the name of each call's group by CallSid.

    All calls to one number have the CallSid of the first of them. So the name says nothing about the number, not even
    as a hash, from which a number could be guessed.
    """
    match group_by:
        case "number":
            first: dict[str, str] = {}
            for call in sorted(calls, key=lambda call: call.call_sid):
                first.setdefault(call.number or call.call_sid, call.call_sid)
            return {call.call_sid: first[call.number or call.call_sid] for call in calls}
        case "day":
            return {call.call_sid: f"{call.answered_at:%Y-%m-%d}" for call in calls}
        case "call":
            return {call.call_sid: call.call_sid for call in calls}
        case _:
            raise DatasetUnusable(f"calls cannot be grouped by {group_by!r}: use number, day or call")


def candidates_of_folder(folder: Path, group_by: str | None, channel: int | None) -> list[Candidate]:
    """Return the files of a labelled folder. `group_by`: a column of its metadata. None: the column `group`, or none.

    `channel`: the called party's channel of files with two channels, if the metadata has no column `channel`.

    Raises DatasetUnusable: the folder cannot be read, lacks the column, or contains a phone number.
    """
    dataset = read_folder(folder, keep_other=True)
    candidates = []
    for file in (*dataset.files, *dataset.others):
        name = file.path.relative_to(folder).as_posix()
        group = file.group if group_by in (None, "group") else file.columns.get(group_by)
        if group_by is not None and not group:
            raise DatasetUnusable(f"{folder}: {name} has no value in the column {group_by}; add it, or use another")
        texts = (name, file.label, file.group or "", file.language or "", *file.columns, *file.columns.values())
        raise_if_phone_number(texts, str(folder))
        # Two files of one name lie in different folders, so the name of the copy comes from the whole path.
        copy = f"file-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        origin = replace(file, channel=file.channel or channel)
        columns = {"source": "folder", "source_file": name} | dict(file.columns)
        candidates.append(Candidate(copy, file.label, group or copy, file.language, origin, file.split, columns))
    return candidates
