"""Divides labelled files into train, validation and test, so that no group is in two splits."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.labelled_files import DETECTED_LABELS, LabelledFile
from amd_service.lab.synthesis.voices import Split

Shares: TypeAlias = Mapping[Split, float]
SHARES: Shares = {Split.TRAIN: 0.7, Split.VALIDATION: 0.15, Split.TEST: 0.15}

# Files by label.
_Counts: TypeAlias = Counter[str]


def assign_splits(files: Sequence[LabelledFile], *, shares: Shares = SHARES, seed: int) -> list[LabelledFile]:
    """Return the files with a split each. The same files and seed give the same splits.

    All files of a group get one split. A group with a file that already has a split keeps it. Within these limits, each
    split gets its share of every label. A share of 0 leaves a split empty.

    Raises DatasetUnusable if a label has fewer groups than there are splits, so that one of them would lack the label.
    """
    groups: defaultdict[str, list[LabelledFile]] = defaultdict(list)
    for file in files:
        groups[file.group_or_path].append(file)
    wanted = {split: share for split, share in shares.items() if share > 0}
    _raise_if_too_few_groups(groups, wanted)
    totals = Counter(file.label for file in files)
    filled: dict[Split, _Counts] = {split: Counter() for split in Split}
    assigned: dict[str, Split] = {}
    for name in _in_order(groups, seed):
        labels = Counter(file.label for file in groups[name])
        earlier = Counter(file.split for file in groups[name] if file.split is not None)
        split = earlier.most_common(1)[0][0] if earlier else _best(labels, filled, totals, wanted)
        filled[split] += labels
        assigned[name] = split
    return [replace(file, split=assigned[file.group_or_path]) for file in files]


def _in_order(groups: Mapping[str, Sequence[LabelledFile]], seed: int) -> list[str]:
    """Return groups with a split first, then large groups before small ones, and equal groups in random order."""
    names = sorted(groups)
    random.Random(seed).shuffle(names)  # noqa: S311 - repeatable, not secret
    has_split = {name: any(file.split is not None for file in groups[name]) for name in names}
    return sorted(names, key=lambda name: (not has_split[name], -len(groups[name])))


def _best(labels: _Counts, filled: Mapping[Split, _Counts], totals: _Counts, wanted: Shares) -> Split:
    """Return the split that lacks the group's labels most, relative to the files that the split shall have."""
    shared = sum(wanted.values())

    def missing(split: Split) -> float:
        return sum(
            count * (1 - filled[split][label] / (totals[label] * wanted[split] / shared))
            for label, count in labels.items()
        )

    return max(wanted, key=missing)


def _raise_if_too_few_groups(groups: Mapping[str, Sequence[LabelledFile]], wanted: Iterable[Split]) -> None:
    needed = len(list(wanted))
    for label in DETECTED_LABELS:
        found = sum(any(file.label == label for file in files) for files in groups.values())
        if found < needed:
            raise DatasetUnusable(
                f"{found} groups have files with the label {label}, but {needed} splits need one each: add files, "
                "group by something smaller (--group-by), or build fewer splits (--split 80,0,20)"
            )
