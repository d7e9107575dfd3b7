import os
from pathlib import Path

import pytest

from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import read_folder, write_manifest, write_metadata
from amd_service.lab.dataset.labelled_files import (
    LabelledFile,
    raise_if_label_missing,
    raise_if_one_sided,
    raise_if_unreadable,
)
from amd_service.lab.synthesis.voices import Split
from tests.support.labelled_audio import noise, write_wav


def write_table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_files(folder: Path, *names: str) -> None:
    for name in names:
        write_wav(folder / name)


def test_one_table_at_the_top_has_no_splits(tmp_path: Path) -> None:
    write_files(tmp_path, "a.wav", "more/b.wav")
    write_table(
        tmp_path / "metadata.csv",
        "file_name,label,group,language,call_sid",
        "a.wav,Human,caller-1,de,CA1",
        "more/b.wav,voicemail,,,",
    )
    first, second = read_folder(tmp_path).files
    assert (first.path, first.label, first.group, first.language) == (tmp_path / "a.wav", "human", "caller-1", "de")
    assert first.columns == {"call_sid": "CA1"}
    assert (second.label, second.group, second.split) == ("voicemail", None, None)


def test_a_table_in_each_split_gives_the_split(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write_files(tmp_path, f"{split}/a.wav")
        write_table(tmp_path / split / "metadata.csv", "file_name,label", "a.wav,human")
    dataset = read_folder(tmp_path)
    assert dataset.has_splits
    assert [file.path.parent.name for file in dataset.of(Split.VALIDATION)] == ["valid"]


def test_the_split_can_be_a_column_or_the_first_folder_of_the_name(tmp_path: Path) -> None:
    write_files(tmp_path, "a.wav", "test/b.wav")
    write_table(tmp_path / "metadata.csv", "file_name,label,split", "a.wav,human,validation", "test/b.wav,human,")
    assert [file.split for file in read_folder(tmp_path).files] == [Split.VALIDATION, Split.TEST]


def test_sub_folders_name_the_labels(tmp_path: Path) -> None:
    write_files(tmp_path, "human/a.wav", "voicemail/deep/b.wav", "voicemail/.hidden.wav")
    (tmp_path / "voicemail" / "notes.txt").write_text("no audio")
    found = [(file.path.name, file.label, file.split) for file in read_folder(tmp_path).files]
    assert found == [("a.wav", "human", None), ("b.wav", "voicemail", None)]


def test_splits_can_have_a_sub_folder_for_each_label(tmp_path: Path) -> None:
    write_files(tmp_path, "train/human/a.wav", "test/voicemail/b.wav")
    found = {(file.path.name, file.label, file.split) for file in read_folder(tmp_path).files}
    assert found == {("a.wav", "human", Split.TRAIN), ("b.wav", "voicemail", Split.TEST)}


def test_other_labels_are_an_error_unless_they_are_asked_for(tmp_path: Path) -> None:
    write_files(tmp_path, "human/a.wav", "music/b.wav", "music/c.wav")
    with pytest.raises(DatasetUnusable, match=r"2 music.*only human and voicemail"):
        read_folder(tmp_path)
    dataset = read_folder(tmp_path, keep_other=True)
    assert len(dataset.files) == 1
    assert [file.label for file in dataset.others] == ["music", "music"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file_name;label", "a.wav;human"], "no column file_name and no column label"),
        (["file_name,label", "b.wav,human"], "1 files that do not exist"),
        (["file_name,label", "../a.wav,human"], "line 2: file_name must be a path below"),
        (["file_name,label", "/etc/passwd,human"], "line 2: file_name must be a path below"),
        (["file_name,label", ".,human"], "line 2: file_name must be a path below"),
        (["file_name,label", "a.wav,"], "line 2: the label is empty"),
        (["file_name,label", "a.wav,human,2"], "line 2: too many fields"),
        (["file_name,label,channel", "a.wav,human,3"], "channel must be 1 or 2, not '3'"),
        (["file_name,label,split", "a.wav,human,later"], "split must be train, validation, test or empty"),
        (["file_name,label", "a.wav,human", "a.wav,voicemail"], "1 files twice"),
        (["file_name,label"], "no labelled audio"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    write_files(tmp_path, "a.wav")
    write_table(tmp_path / "metadata.csv", *lines)
    with pytest.raises(DatasetUnusable, match=message):
        read_folder(tmp_path)


def test_a_table_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes("file_name,label\nfür.wav,human\n".encode("latin-1"))
    with pytest.raises(DatasetUnusable, match="CSV in UTF-8"):
        read_folder(tmp_path)


def test_a_table_written_by_excel_can_be_read(tmp_path: Path) -> None:
    write_files(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbffile_name,label\r\na.wav,human\r\n,\r\n")
    assert [file.label for file in read_folder(tmp_path).files] == ["human"]


def test_two_tables_for_the_same_files_are_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, "train/a.wav")
    write_table(tmp_path / "metadata.csv", "file_name,label", "train/a.wav,human")
    write_table(tmp_path / "train" / "metadata.csv", "file_name,label", "a.wav,human")
    with pytest.raises(DatasetUnusable, match="at the top and in the splits"):
        read_folder(tmp_path)


def test_a_group_in_two_splits_is_an_error(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_files(tmp_path, f"{split}/a.wav")
        write_table(tmp_path / split / "metadata.csv", "file_name,label,group", "a.wav,human,caller-1")
    with pytest.raises(DatasetUnusable, match=r"1 groups have files in two splits \(caller-1\)"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_labelled_audio_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetUnusable, match=name):
        read_folder(tmp_path / name)


def test_a_written_dataset_is_read_back(tmp_path: Path) -> None:
    files = [
        LabelledFile(
            write_wav(tmp_path / split / f"{label}.wav"),
            label,
            group=f"{split}-{label}",
            language="pt-BR",
            split=split,
            sha256="0f" * 32,
            columns={"call_sid": "CA1", "note": 'a comma, and a "quote"'},
        )
        for split in Split
        for label in ("human", "voicemail")
    ]
    write_metadata(tmp_path, files)
    write_manifest(tmp_path, {"built_by": "1.0"})
    dataset = read_folder(tmp_path)
    assert set(map(repr, dataset.files)) == set(map(repr, files))
    assert dataset.manifest == {"built_by": "1.0"}


def test_a_damaged_manifest_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, "human/a.wav")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetUnusable, match=r"dataset\.json is damaged"):
        read_folder(tmp_path)


def test_a_label_without_files_is_an_error() -> None:
    files = [LabelledFile(Path("a.wav"), "human", split=Split.TRAIN)]
    with pytest.raises(DatasetUnusable, match=r"no file with the label voicemail \(1 human\)"):
        raise_if_label_missing(files)
    with pytest.raises(DatasetUnusable, match="the split train has no file with the label voicemail"):
        raise_if_one_sided(files)


def test_every_unreadable_file_is_counted(tmp_path: Path) -> None:
    write_files(tmp_path, "human/a.wav")
    for name in ("b", "c"):
        (tmp_path / "human" / f"{name}.mp3").write_bytes(b"no audio")
    files = read_folder(tmp_path).files
    examined: list[None] = []
    with pytest.raises(DatasetUnusable, match="2 files cannot be used") as raised:
        raise_if_unreadable(files, examined=lambda: examined.append(None))
    assert "b.mp3 is not readable audio" in str(raised.value)
    assert len(examined) == 3


def test_a_file_with_two_channels_needs_the_called_partys_channel(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", noise(seed=1), noise(seed=2))
    with pytest.raises(DatasetUnusable, match="two channels: add the column `channel`"):
        LabelledFile(path, "human").waveform(max_ms=500)
    own = write_wav(tmp_path / "b.wav", noise(seed=2))
    heard = LabelledFile(path, "human", channel=2).waveform(max_ms=500)
    assert heard.samples.tolist() == LabelledFile(own, "human").waveform(max_ms=500).samples.tolist()


def test_a_name_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, "human/a.wav")
    (tmp_path / "human" / "a.wav").rename(tmp_path / "human" / os.fsdecode(b"\xfc.wav"))
    with pytest.raises(DatasetUnusable, match=r"1 files whose names are not UTF-8 \('\\udcfc.wav'\): rename them"):
        read_folder(tmp_path)
