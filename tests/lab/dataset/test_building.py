"""From reviews in the database and recordings at Twilio to a dataset folder."""

import csv
import errno
import json
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from sqlalchemy import func, update

from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.detection.audio.decode import decode
from amd_service.domain import Failure
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.dataset.building import Built, build_dataset
from amd_service.lab.dataset.gathering import Sources
from amd_service.lab.synthesis.voices import Split
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import NOT_FOUND, ScriptedResponse
from tests.support.call_rows import numbered_sid
from tests.support.labelled_audio import noise, write_wav
from tests.support.review_rows import heard_call, store_calls
from tests.support.reviewed_calls import recording_sid, review, serve, settings_for, store_reviewed

pytestmark = pytest.mark.anyio

REVIEWS = Sources(reviews=True)
# Twelve calls to six numbers. Each number has one call of each label.
ANSWERS = {call: "human" if call % 2 else "voicemail" for call in range(12)}


async def build(folder: Path, database_url: str, twilio: SimulatedTwilio, sources: Sources = REVIEWS) -> Built:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return await build_dataset(folder, sources, settings_for(database_url, twilio), sleep=sleep)


def reasons(folder: Path) -> dict[str, str]:
    with (folder / "left_out.csv").open(encoding="utf-8", newline="") as lines:
        return {row["name"]: row["reason"] for row in csv.DictReader(lines)}


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_reviewed_calls_become_an_audio_folder(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS)
    folder = tmp_path / "data"
    built = await build(folder, database_url, twilio)

    dataset = read_folder(folder)
    assert dataset.has_splits
    found = {file.columns["call_sid"]: file for file in dataset.files}
    assert {sid: file.label for sid, file in found.items()} == {numbered_sid(k): v for k, v in ANSWERS.items()}
    # The called party is on channel 1: the samples are the same as in the recording, and the caller's are not there.
    served = twilio.media.files[recording_sid(3)].body
    assert isinstance(served, bytes)
    heard = found[numbered_sid(3)].waveform(max_ms=9000)
    assert np.array_equal(heard.samples, decode(served).samples[0])
    # A number has two calls, with one label each. They are in one split.
    for call in range(0, 12, 2):
        first, second = found[numbered_sid(call)], found[numbered_sid(call + 1)]
        assert (first.group, first.split) == (second.group, second.split) == (numbered_sid(call), first.split)
    assert {split: len(dataset.of(split)) for split in Split} == {"train": 8, "validation": 2, "test": 2}

    # The layout of an AudioFolder: every file of a split is in its table, and there are no others.
    for split in Split:
        with (folder / split / "metadata.csv").open(encoding="utf-8", newline="") as lines:
            names = {row["file_name"] for row in csv.DictReader(lines)}
        assert names == {path.name for path in (folder / split).iterdir()} - {"metadata.csv"}

    manifest = json.loads((folder / "dataset.json").read_text("utf-8"))
    assert manifest["sources"] == {"reviews": True, "labels": None, "folder": None}
    assert manifest["labels"] == built.report.labels
    assert manifest["newest_review"] is not None
    texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.suffix in (".csv", ".json")]
    assert not any("1500555" in text for text in texts)


async def test_a_second_build_fetches_only_new_calls_and_moves_no_file(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS)
    await build(tmp_path, database_url, twilio)
    before = {file.columns["call_sid"]: file.path for file in read_folder(tmp_path).files}
    requests = len(twilio.media.requests)
    await store_reviewed(database, twilio, {20: "human", 21: "human", 22: "voicemail"})
    await build(tmp_path, database_url, twilio)
    after = {file.columns["call_sid"]: file.path for file in read_folder(tmp_path).files}
    assert len(after) == 15
    assert after | before == after
    asked = {request.path.rpartition("/")[2] for request in twilio.media.requests[requests:]}
    assert asked == {f"{recording_sid(call)}.wav" for call in (20, 21, 22)}


async def test_audio_that_was_fetched_stays_after_twilio_has_deleted_the_recording(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS)
    await build(tmp_path, database_url, twilio)
    async with database.transaction() as session:
        await session.execute(update(Recording).values(erased_at=func.now()))
    await store_reviewed(database, twilio, {20: "human", 21: "human"})
    async with database.transaction() as session:
        erased = update(Recording).where(Recording.recording_sid == recording_sid(21))
        await session.execute(erased.values(erased_at=func.now()))
    await build(tmp_path, database_url, twilio)
    assert len(read_folder(tmp_path).files) == 13
    assert reasons(tmp_path) == {numbered_sid(21): "gone"}


@pytest.mark.slow
async def test_answers_that_are_no_label_are_left_out(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS | {12: "screening", 13: "cannot_tell", 14: "human", 15: "human"})
    await store_calls(
        database,
        # Corrected by the same person, so the later answer counts.
        [review(0, "human")],
        [review(14, "voicemail", "bob")],
        [review(15, "cannot_tell", "bob")],
    )
    report = (await build(tmp_path, database_url, twilio)).report
    assert report.left_out == {"cannot_tell": 1, "disputed": 1, "other_label": 1}
    assert reasons(tmp_path) == {
        numbered_sid(12): "other_label",
        numbered_sid(13): "cannot_tell",
        numbered_sid(14): "disputed",
    }
    labels = {file.columns["call_sid"]: file.label for file in read_folder(tmp_path).files}
    assert (labels[numbered_sid(0)], labels[numbered_sid(15)]) == ("human", "human")


@pytest.mark.slow
async def test_other_labels_are_kept_if_they_are_wanted(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS | {12: "screening"})
    await build(tmp_path, database_url, twilio, Sources(reviews=True, keep_other=True))
    assert [file.label for file in read_folder(tmp_path, keep_other=True).others] == ["screening"]
    # A later build without them deletes their audio.
    await build(tmp_path, database_url, twilio)
    assert f"{numbered_sid(12)}.wav" not in files_below(tmp_path)
    assert len(read_folder(tmp_path).files) == 12


async def test_a_recording_that_cannot_be_fetched_is_reported(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS | dict.fromkeys(range(20, 26), "human"))
    unavailable = ScriptedResponse(503)
    twilio.media.files[recording_sid(20)].scripted += [NOT_FOUND, NOT_FOUND]
    twilio.media.files[recording_sid(21)].scripted += [unavailable] * 4
    twilio.media.files[recording_sid(22)].scripted += [unavailable]  # the next attempt succeeds
    twilio.media.files[recording_sid(23)].body = b"RIFF" + bytes(2000)
    await store_calls(database, heard_call(30, recorded=False), [review(30, "human")])
    built = await build(tmp_path, database_url, twilio)
    found = reasons(tmp_path)
    assert found.pop(numbered_sid(23)) in (Failure.UNDECODABLE, "incomplete")
    assert found == {numbered_sid(20): "gone", numbered_sid(21): "unavailable", numbered_sid(30): "no_recording"}
    assert not built.report.is_complete

    await build(tmp_path, database_url, twilio)
    assert numbered_sid(21) in {file.columns["call_sid"] for file in read_folder(tmp_path).files}


async def test_equal_audio_is_in_the_dataset_once_and_contradictions_never(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS | {20: "human", 21: "human", 22: "human", 23: "voicemail"})
    serve(twilio, 21, seed=20)
    serve(twilio, 23, seed=22)
    await build(tmp_path, database_url, twilio)
    assert reasons(tmp_path) == {
        numbered_sid(21): "duplicate",
        numbered_sid(22): "contradiction",
        numbered_sid(23): "contradiction",
    }
    requests = len(twilio.media.requests)
    await build(tmp_path, database_url, twilio)
    assert len(twilio.media.requests) == requests


@pytest.mark.slow
async def test_a_table_of_labels_replaces_reviews(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, ANSWERS | {12: "cannot_tell"})
    table = tmp_path / "labels.csv"
    rows = [f"{numbered_sid(0)},human,de", f"{numbered_sid(12)},voicemail,de", f"{numbered_sid(77)},human,"]
    table.write_text("\n".join(["call_sid,label,language", *rows]))
    await build(tmp_path / "data", database_url, twilio, Sources(reviews=True, labels=table, language="en"))
    found = {file.columns["call_sid"]: (file.label, file.language) for file in read_folder(tmp_path / "data").files}
    assert found[numbered_sid(0)] == ("human", "de")
    assert found[numbered_sid(12)] == ("voicemail", "de")
    assert found[numbered_sid(1)] == ("human", "en")
    assert reasons(tmp_path / "data") == {numbered_sid(77): "no_recording"}


async def test_a_folder_becomes_a_dataset_and_keeps_its_columns(tmp_path: Path, database_url: str) -> None:
    source = tmp_path / "source"
    rows = ["file_name,label,voice,note"]
    for number in range(12):
        write_wav(source / f"{number}.wav", noise(2, seed=number))
        rows.append(f"{number}.wav,{'human' if number % 2 else 'voicemail'},voice-{number // 2},ok")
    (source / "metadata.csv").write_text("\n".join(rows))
    settings = settings_for(database_url, None)
    sources = Sources(folder=source, group_by="voice")
    built = await build_dataset(tmp_path / "data", sources, settings)
    assert built.report.files == 12
    groups = {file.group for file in read_folder(tmp_path / "data").files}
    assert groups == {f"voice-{number}" for number in range(6)}
    with pytest.raises(DatasetUnusable, match="no value in the column speaker"):
        await build_dataset(tmp_path / "other", Sources(folder=source, group_by="speaker"), settings)
    with pytest.raises(DatasetUnusable, match="the source and the result"):
        await build_dataset(source, Sources(folder=source), settings)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("+15005550006.wav", "human,x,en"),
        ("a.wav", "human,(500) 555-0006,en"),
        ("a.wav", "5005550006,x,en"),
        ("a.wav", "human,x,5005550006"),
    ],
)
async def test_phone_numbers_are_refused(tmp_path: Path, database_url: str, name: str, row: str) -> None:
    write_wav(tmp_path / "source" / name)
    (tmp_path / "source" / "metadata.csv").write_text(f"file_name,label,note,language\n{name},{row}\n")
    with pytest.raises(DatasetUnusable, match="look like phone numbers") as refused:
        await build_dataset(tmp_path / "data", Sources(folder=tmp_path / "source"), settings_for(database_url, None))
    assert "555" not in str(refused.value)


async def test_a_full_disk_leaves_no_part_of_a_file_and_the_next_run_continues(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_reviewed(database, twilio, ANSWERS)
    write_bytes = Path.write_bytes
    written: list[Path] = []

    counting = Lock()

    def fill(path: Path, data: bytes) -> int:
        with counting:
            is_full = len(written) == 5
            if not is_full:
                written.append(path)
        if is_full:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(DatasetUnusable, match="the disk is full"):
        await build(tmp_path, database_url, twilio)
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    left = files_below(tmp_path)
    assert len(left) == 5
    assert all(name.endswith(".wav") for name in left)
    requests = len(twilio.media.requests)
    assert (await build(tmp_path, database_url, twilio)).report.files == 12
    assert len(twilio.media.requests) - requests == 7


@pytest.mark.slow
async def test_calls_without_a_stored_number_are_grouped_by_day(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    await store_reviewed(database, twilio, {call * 1440: answer for call, answer in ANSWERS.items()}, to_number=None)
    with pytest.raises(DatasetUnusable, match="use --group-by day"):
        await build(tmp_path, database_url, twilio)
    await build(tmp_path, database_url, twilio, Sources(reviews=True, group_by="day"))
    assert {file.group for file in read_folder(tmp_path).files} == {
        *(f"2026-11-{day}" for day in range(22, 31)),
        *(f"2026-12-0{day}" for day in range(1, 4)),
    }


async def test_a_folder_that_no_build_made_is_refused(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(DatasetUnusable, match="files that no build made"):
        await build_dataset(tmp_path, REVIEWS, settings_for(database_url, None))


@pytest.mark.slow
async def test_nothing_reviewed_is_an_error(
    database: Database, database_url: str, twilio: SimulatedTwilio, tmp_path: Path
) -> None:
    with pytest.raises(DatasetUnusable, match="review calls on the page /review"):
        await build(tmp_path, database_url, twilio)
    await store_reviewed(database, twilio, dict.fromkeys(range(8), "human"))
    with pytest.raises(DatasetUnusable, match=r"no file with the label voicemail \(8 human\)"):
        await build(tmp_path, database_url, twilio)
