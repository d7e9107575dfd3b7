"""The options and the output of `amd-service dataset build`."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from amd_service.cli import suspicious_labels
from amd_service.cli.dataset_build import BuildPlan, build_and_print, parse_shares
from amd_service.cli.suspicious_labels import send_to_review, will_check
from amd_service.database.pool import Database
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.domain import ReviewQueue
from amd_service.errors import ConfigurationError
from amd_service.lab.dataset.gathering import Sources
from amd_service.lab.synthesis.voices import Split
from amd_service.operations.review.review_queues import count_queues
from amd_service.settings import Settings
from tests.support.call_rows import numbered_sid
from tests.support.labelled_audio import noise, write_wav
from tests.support.review_rows import heard_call, store_calls
from tests.support.sampling import make_plan


@pytest.mark.parametrize("text", ["", "70", "70,15", "70,15,15,0", "70,15,a", "70,15,14", "-1,1,100"])
def test_shares_that_are_not_three_percentages_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--split .* is invalid"):
        parse_shares(text)


def test_shares_are_percentages_of_the_three_splits() -> None:
    assert parse_shares("80,0,20") == {Split.TRAIN: 0.8, Split.VALIDATION: 0, Split.TEST: 0.2}


@pytest.mark.anyio
async def test_a_build_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no source is given: use --from-reviews"):
        await build_and_print(BuildPlan(tmp_path, Sources()), Settings(_env_file=None), as_json=False)
    of_files = BuildPlan(tmp_path, Sources(folder=tmp_path), check=True, send_to_review=True)
    with pytest.raises(ConfigurationError, match="files cannot be reviewed"):
        await build_and_print(of_files, Settings(_env_file=None), as_json=False)


@pytest.mark.anyio
async def test_the_report_is_printed_as_lines_or_as_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        for label in ("human", "voicemail"):
            write_wav(tmp_path / "source" / label / f"{label}{number}.wav", noise(2, seed=len(label) * 100 + number))
    (tmp_path / "source" / "human" / "damaged.wav").write_bytes(b"RIFF")
    sources = Sources(folder=tmp_path / "source", language="de")
    folder, settings = tmp_path / "data", Settings(_env_file=None)
    assert await build_and_print(BuildPlan(folder, sources), settings, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"12 recordings in {folder}"
    assert lines[1].split() == ["train", "4", "human,", "4", "voicemail", "in", "8", "groups"]
    assert lines[4].split() == ["languages", "12", "de"]
    assert lines[-3].split() == ["left", "out", "1", "undecodable;", "see", "left_out.csv"]
    assert lines[-1] == f"Next: amd-service train {folder} --out MODEL"
    assert await build_and_print(BuildPlan(folder, sources), settings, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["labels"]["test"] == {"human": 1, "voicemail": 1}
    assert report["left_out"] == {"undecodable": 1}


@pytest.mark.slow
@pytest.mark.anyio
async def test_labels_are_checked_by_the_configured_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    copytree(SHIPPED_CLIPS, source)
    folder, settings = tmp_path / "data", Settings(_env_file=None, model="demo")
    assert await build_and_print(BuildPlan(folder, Sources(folder=source), check=True), settings, as_json=True)
    assert json.loads(capsys.readouterr().out)["suspicious"] <= 4
    assert (folder / "suspicious.csv").read_text("utf-8").startswith("file_name,")
    assert json.loads((folder / "dataset.json").read_text("utf-8"))["suspicious"] <= 4


def test_the_check_of_labels_says_how_to_install_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert will_check(None)
    assert not will_check(False)
    monkeypatch.setattr(suspicious_labels, "find_spec", lambda _name: None)
    assert not will_check(None)
    with pytest.raises(ConfigurationError, match=r"pip install 'amd-service\[train,cleanlab\]'"):
        will_check(True)


@pytest.mark.anyio
async def test_suspicious_calls_are_sent_to_the_queue_once(database: Database, database_url: str) -> None:
    await store_calls(database, heard_call(1), heard_call(2))
    settings = Settings(_env_file=None, database_url=database_url)
    assert await send_to_review(settings, [numbered_sid(1), numbered_sid(2)]) == 2
    assert await send_to_review(settings, [numbered_sid(1)]) == 0
    plan = make_plan(settings)
    assert (await count_queues(database, plan, ReviewQueue.RECHECK, "ann")).waiting[ReviewQueue.RECHECK] == 2
