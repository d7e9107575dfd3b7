"""The demonstration model, evaluated on fixture calls."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.evaluation.html_report import render_report
from amd_service.lab.evaluation.measurement import Question
from amd_service.lab.evaluation.result_files import as_json, write_results
from amd_service.lab.evaluation.run_evaluation import Evaluation, chosen_files, evaluate_files
from amd_service.lab.evaluation.tables import print_evaluation
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings
from tests.support.labelled_calls import LABELS, lay_out_calls

pytestmark = pytest.mark.anyio

DEMO = Settings.model_validate({"model": "demo", "engine": "torch", "precision": "fp32", "threads": 1})
QUESTION = Question(cluster="group", by=("language",))
# A voicemail that is labelled human: an error of the labels, and so the worst error of the model.
MISLABELLED = {**LABELS, "12-voicemail-german": "human", "13-voicemail-after-seven-seconds": "screening"}


@pytest.fixture(scope="module")
async def evaluation(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Evaluation:
    folder = lay_out_calls(tmp_path_factory.mktemp("calls"), MISLABELLED, unreadable=["broken.wav"])
    dataset = read_folder(folder, keep_other=True)
    files = chosen_files(dataset, None, QUESTION)
    judged: list[None] = []
    found = await evaluate_files(files, QUESTION, DEMO, DEMO, data=str(folder), judged=lambda: judged.append(None))
    assert len(judged) == 2 * len(files)
    return found


@pytest.mark.slow
async def test_the_verdicts_are_those_of_the_detector(evaluation: Evaluation) -> None:
    figures = evaluation.model.figures
    assert (figures.human.recall.count, figures.human.recall.of, figures.human.lost.count) == (3, 4, 1)
    assert (figures.voicemail.recall.count, figures.voicemail.precision.of) == (3, 4)
    assert evaluation.model.confusion["human"] == {"human": 3, "voicemail": 1, "undecided": 0}


@pytest.mark.slow
async def test_every_clip_has_the_scores_of_the_longer_window(evaluation: Evaluation) -> None:
    runs = {clip.file.path.stem: clip.long_run for clip in evaluation.clips if clip.verdict}
    long = runs["07-voicemail-carrier"]
    assert long is not None
    first = next(clip.verdict.runs[0] for clip in evaluation.clips if clip.verdict and clip.verdict.runs)
    assert long.window_ms > first.window_ms


@pytest.mark.slow
async def test_unreadable_files_are_reported_and_left_out(evaluation: Evaluation) -> None:
    [unreadable] = evaluation.unreadable
    assert unreadable.file.name == "broken.wav"
    assert "broken.wav" in unreadable.error
    assert evaluation.model.figures.clips == 7


@pytest.mark.slow
async def test_only_the_clusters_of_measured_clips_count(evaluation: Evaluation) -> None:
    # Nine files: one cannot be read, and one has another label.
    assert evaluation.clusters == 7


@pytest.mark.slow
async def test_other_labels_are_reported_apart(evaluation: Evaluation) -> None:
    other = evaluation.model.others["screening"]
    assert other.human.of == 1
    assert other.human.count + other.voicemail.count + other.undecided.count == 1


@pytest.mark.slow
async def test_figures_are_split_by_column(evaluation: Evaluation) -> None:
    by_language = evaluation.model.groups["language"]
    assert {name: each.clips for name, each in by_language.items()} == {"en": 2, "xx": 5}


@pytest.mark.slow
async def test_the_same_model_has_no_difference_from_itself(evaluation: Evaluation) -> None:
    comparison = evaluation.comparison
    assert comparison is not None
    assert (comparison.clips, comparison.p_value, comparison.cost.value) == (7, 1.0, 0.0)


@pytest.mark.slow
async def test_the_worst_error_is_listed(evaluation: Evaluation) -> None:
    assert [error.file.path.stem for error in evaluation.model.worst] == ["12-voicemail-german"]


@pytest.mark.slow
async def test_the_json_document_has_every_figure(evaluation: Evaluation) -> None:
    found = json.loads(as_json(evaluation))
    assert found["model"]["figures"]["human"]["recall"]["of"] == 4
    assert found["model"]["recommendation"]["best"]["human"] > 0.5
    assert found["comparison"]["both"] == 6
    assert "clips" not in found


@pytest.mark.slow
async def test_the_tables_state_figures_intervals_and_settings(evaluation: Evaluation) -> None:
    console = Console(record=True, width=160)
    print_evaluation(evaluation, console)
    text = console.export_text()
    for part in (
        "0.750 [",
        "3/4",
        "McNemar",
        "voicemail scores higher (AUC), window of the verdict",
        "AMD_MIN_CONFIDENCE_VOICEMAIL=",
        "too few",
        "broken.wav",
    ):
        assert part in text


@pytest.mark.slow
async def test_three_files_are_written_and_the_report_needs_no_other_host(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", evaluation, max_audio_bytes=10_000_000)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clips.csv", "evaluation.json", "report.html"]
    assert len((tmp_path / "out" / "clips.csv").read_text().splitlines()) == 1 + len(evaluation.clips)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "default-src 'none'" in report
    assert 'src="data:audio/wav;base64,' in report
    addresses = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', report)
    assert addresses == []
    assert report.count("<svg") == 4


@pytest.mark.slow
async def test_recordings_that_do_not_fit_are_left_out_of_the_report(evaluation: Evaluation) -> None:
    report = render_report(evaluation, max_audio_bytes=1000)
    assert "<audio" not in report
    assert "raise <code>--audio-mb</code>" in report


@pytest.mark.slow
async def test_a_folder_that_cannot_be_written_is_named(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetUnusable, match="cannot be written"):
        write_results(tmp_path / "file", evaluation, max_audio_bytes=0)


@pytest.mark.slow
async def test_no_readable_file_is_an_error(tmp_path: Path) -> None:
    folder = lay_out_calls(tmp_path / "calls", {}, unreadable=["a.wav", "b.wav"])
    files = read_folder(folder).files
    with pytest.raises(DatasetUnusable, match="none of the 2 files can be used"):
        await evaluate_files(files, QUESTION, DEMO, data=str(folder))


async def test_a_missing_label_is_an_error_before_the_model_is_loaded(tmp_path: Path) -> None:
    folder = lay_out_calls(tmp_path / "calls", {"01-human-hello": "human"})
    with pytest.raises(DatasetUnusable, match="no file with the label voicemail"):
        chosen_files(read_folder(folder), None, Question(by=()))


async def test_an_unknown_column_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    folder = lay_out_calls(tmp_path / "calls")
    with pytest.raises(DatasetUnusable, match="'caller': choose one of group, language"):
        chosen_files(read_folder(folder), None, Question(cluster="caller"))


async def test_a_split_of_a_dataset_without_splits_is_an_error(tmp_path: Path) -> None:
    folder = lay_out_calls(tmp_path / "calls")
    with pytest.raises(DatasetUnusable, match="has no splits"):
        chosen_files(read_folder(folder), Split.TEST, QUESTION)
