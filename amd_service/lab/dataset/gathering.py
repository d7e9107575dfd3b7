"""Gathers labelled recordings from reviews, a table of labels and a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from amd_service.calls.labelled_recordings import RecordedCall
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.call_labels import CallLabel, combine_answers, read_label_table
from amd_service.lab.dataset.candidates import CALL_GROUPS, Candidate, candidates_of_calls, candidates_of_folder
from amd_service.lab.dataset.labelled_files import DETECTED_LABELS
from amd_service.lab.dataset.left_out import LeftOut
from amd_service.operations.labelled_calls import read_answers, read_recorded_calls
from amd_service.runtime.recorded_calls import RecordedCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where labels come from. A label in `labels` (a CSV file) replaces the reviews of its call.

    `group_by`: `number`, `day` or `call` for calls, a column for a folder; None: `number`, and the column `group`.
    `language`: language of recordings without one. `keep_other`: keep labels that are neither human nor voicemail.
    `channel`: the called party's channel of two-channel files in `folder`.
    """

    reviews: bool = False
    labels: Path | None = None
    folder: Path | None = None
    group_by: str | None = None
    language: str | None = None
    keep_other: bool = False
    channel: int | None = None

    @property
    def use_calls(self) -> bool:
        """Whether the database and Twilio are needed."""
        return self.reviews or self.labels is not None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Recordings that shall be in the dataset. `newest_review`: time of the latest answer that was read.

    `without_number`: calls that are a group of their own, because their called number is not stored.
    """

    candidates: Sequence[Candidate]
    left_out: Sequence[LeftOut]
    newest_review: datetime | None
    without_number: int


async def gather(sources: Sources, calls: RecordedCalls | None) -> Gathered:
    """Read the labels of all sources, without fetching audio.

    Raises DatasetUnusable: no source, no labels, an unreadable source, or no stored number to group by.
    """
    labels: dict[str, CallLabel] = {}
    left_out: list[LeftOut] = []
    recorded: Sequence[RecordedCall] = ()
    newest = None
    if calls is not None:
        if sources.reviews:
            reviewed = combine_answers(await read_answers(calls.database))
            labels |= {each.call_sid: each for each in reviewed.labels}
            left_out += reviewed.left_out
            newest = reviewed.newest
        if sources.labels is not None:
            labels |= {each.call_sid: each for each in read_label_table(sources.labels)}
            left_out = [each for each in left_out if each.name not in labels]
        recorded = await read_recorded_calls(calls.database, [each.call_sid for each in labels.values()])
    group_by = sources.group_by or "number"
    without_number = sum(call.number is None for call in recorded) if group_by == "number" else 0
    if recorded and without_number == len(recorded):
        raise DatasetUnusable("no called number is stored (AMD_PHONE_NUMBERS=drop): use --group-by day")
    candidates, missing = candidates_of_calls(labels.values(), recorded, group_by) if labels else ([], [])
    if sources.folder is not None:
        column = None if sources.group_by in CALL_GROUPS else sources.group_by
        candidates += candidates_of_folder(sources.folder, column, sources.channel)
    return _select(sources, candidates, [*left_out, *missing], newest, without_number)


def _select(
    sources: Sources,
    candidates: Sequence[Candidate],
    left_out: Sequence[LeftOut],
    newest: datetime | None,
    without_number: int,
) -> Gathered:
    """Leave out other labels unless they are wanted, and fill in the language."""
    is_wanted = [sources.keep_other or each.label in DETECTED_LABELS for each in candidates]
    kept = [
        replace(each, language=each.language or sources.language)
        for each, wanted in zip(candidates, is_wanted, strict=True)
        if wanted
    ]
    others = [
        LeftOut(each.title, "other_label", each.label)
        for each, wanted in zip(candidates, is_wanted, strict=True)
        if not wanted
    ]
    if not kept:
        cure = "review calls on the page /review, or give labels with --labels or --from-folder"
        raise DatasetUnusable(f"no recording has the label human or voicemail ({len(left_out)} left out): {cure}")
    return Gathered(kept, [*left_out, *others], newest, without_number)
