from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.labelled_files import LabelledFile, raise_if_group_in_two_splits, raise_if_one_sided
from amd_service.lab.dataset.splitting import assign_splits
from amd_service.lab.synthesis.voices import Split


def made_up(groups: int, *, voicemail_every: int = 3) -> list[LabelledFile]:
    """Files of groups with one to five files. Some groups have both labels."""
    return [
        LabelledFile(Path(f"{group}-{number}.wav"), label, group=f"caller-{group}")
        for group in range(groups)
        for number in range(1 + group % 5)
        for label in ("voicemail" if (group + number) % voicemail_every == 0 else "human",)
    ]


def test_no_group_is_in_two_splits_and_labels_are_shared() -> None:
    files = assign_splits(made_up(200), seed=1)
    raise_if_group_in_two_splits(files)
    raise_if_one_sided(files)
    counts = Counter((file.split, file.label) for file in files)
    totals = Counter(file.label for file in files)
    for label, total in totals.items():
        assert counts[Split.TRAIN, label] / total == pytest.approx(0.7, abs=0.02)
        assert counts[Split.TEST, label] / total == pytest.approx(0.15, abs=0.02)


def test_a_rare_label_reaches_every_split() -> None:
    raise_if_one_sided(assign_splits(made_up(100, voicemail_every=25), seed=1))


def test_the_seed_decides_and_the_order_of_the_files_does_not() -> None:
    files = made_up(50)
    first = {file.path: file.split for file in assign_splits(files, seed=1)}
    assert {file.path: file.split for file in assign_splits(files[::-1], seed=1)} == first
    assert {file.path: file.split for file in assign_splits(files, seed=2)} != first


def test_a_group_keeps_the_split_that_it_had() -> None:
    files = made_up(60)
    before = assign_splits(files[:90], seed=1)
    after = assign_splits([*before, *files[90:]], seed=2)
    assert [file.split for file in after[:90]] == [file.split for file in before]
    raise_if_group_in_two_splits(after)


def test_a_share_of_zero_leaves_a_split_empty() -> None:
    files = assign_splits(made_up(40), shares={Split.TRAIN: 0.8, Split.VALIDATION: 0, Split.TEST: 0.2}, seed=1)
    assert {file.split for file in files} == {Split.TRAIN, Split.TEST}


def test_too_few_groups_are_an_error() -> None:
    files = [replace(file, label="human") for file in made_up(9)]
    files.append(LabelledFile(Path("v.wav"), "voicemail", group="caller-x"))
    with pytest.raises(DatasetUnusable, match="1 groups have files with the label voicemail, but 3 splits"):
        assign_splits(files, seed=1)


def test_files_without_a_group_are_groups_of_their_own() -> None:
    files = [replace(file, group=None) for file in made_up(30)]
    raise_if_one_sided(assign_splits(files, seed=1))
