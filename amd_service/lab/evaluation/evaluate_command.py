"""The steps of `amd-service evaluate`: read the dataset, judge it with a progress bar, print and write the results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from amd_service.detection.classifier.hub import DEMO
from amd_service.errors import ConfigurationError
from amd_service.lab.dataset.audio_folder import Dataset, read_folder
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.evaluation.measurement import Question
from amd_service.lab.evaluation.result_files import REPORT, as_json, write_results
from amd_service.lab.evaluation.run_evaluation import Evaluation, chosen_files, evaluate_files
from amd_service.lab.evaluation.tables import print_evaluation
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings
from amd_service.telemetry.command_name import next_command


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of the command.

    `audio_mb`: most MB of recordings in the report. `candidate`: model to promote next, None for AMD_MODEL itself.
    """

    data: Path
    split: str | None
    out: Path | None
    audio_mb: float
    as_json: bool
    candidate: str | None


async def evaluate_and_print(
    request: Request, question: Question, settings: Settings, against: Settings | None
) -> None:
    """Evaluate the dataset. Raises DatasetUnusable, ModelUnusable, or ConfigurationError for an unknown split."""
    dataset = read_folder(request.data, keep_other=True)
    split = _split(request.split, dataset)
    question = replace(question, cluster=question.cluster or Question.about(dataset.files).cluster)
    if not question.by and len({file.language for file in dataset.files}) > 1:
        question = replace(question, by=("language",))
    files = chosen_files(dataset, split, question)
    console = Console()
    evaluation = await _with_progress(request, files, question, settings, against, split)
    if request.out is not None:
        write_results(request.out, evaluation, max_audio_bytes=round(request.audio_mb * 1e6))
    if request.as_json:
        print(as_json(evaluation))  # noqa: T201 - the command's output
        return
    print_evaluation(evaluation, console)
    if request.out is not None:
        console.print(escape(f"The report is {request.out / REPORT}"), highlight=False, soft_wrap=True)
    if request.candidate not in (None, DEMO):  # the demonstration model is not for real calls
        line = next_command("model", "promote", request.candidate, "--data", request.data)
        console.print(escape(line), highlight=False, soft_wrap=True)


async def _with_progress(
    request: Request,
    files: Sequence[LabelledFile],
    question: Question,
    settings: Settings,
    against: Settings | None,
    split: Split | None,
) -> Evaluation:
    errors = Console(stderr=True)
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_hidden = request.as_json or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=is_hidden) as progress:
        task = progress.add_task("", total=len(files) * (2 if against else 1))
        return await evaluate_files(
            files,
            question,
            settings,
            against,
            data=str(request.data),
            split=split,
            judged=lambda: progress.advance(task),
        )


def _split(name: str | None, dataset: Dataset) -> Split | None:
    """Return the split to evaluate, or None for all files."""
    if name is None:
        return Split.TEST if dataset.has_splits else None
    if name == "all":
        return None
    try:
        return Split(name)
    except ValueError:
        raise ConfigurationError(f"--split must be {', '.join(Split)} or all, not {name!r}") from None
