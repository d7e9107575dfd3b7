"""Trains a model with a progress bar and prints its scores."""

import json
from dataclasses import asdict, replace

from rich.console import Console
from rich.markdown import Markdown

from amd_service.detection.classifier.hub import locate
from amd_service.detection.classifier.model import read_windows
from amd_service.detection.classifier.model_windows import NO_WINDOWS
from amd_service.detection.decision import Policy
from amd_service.lab.training.fine_tuning import fine_tune
from amd_service.lab.training.model_card import scores_table
from amd_service.lab.training.progress import TrainingProgress
from amd_service.lab.training.training_options import Trained, TrainingOptions
from amd_service.settings import Settings
from amd_service.telemetry.command_name import next_command


def policy_of(settings: Settings, *, from_scratch: bool) -> Policy:
    """Return the windows of the starting model and of the settings, with the thresholds of the settings only.

    The scores of the new model differ, so the thresholds of the starting model mean nothing for it.
    """
    windows = NO_WINDOWS if from_scratch else read_windows(locate(settings.model, settings.model_revision).folder)
    return Policy.from_settings(settings, replace(windows, min_confidence_human=None, min_confidence_voicemail=None))


def train_and_print(options: TrainingOptions, settings: Settings, *, as_json: bool) -> None:
    """Train and print the scores with intervals."""
    trained = fine_tune(options, settings, TrainingProgress(is_shown=not as_json))
    if as_json:
        print(json.dumps(_report(trained), default=str))  # noqa: T201 - the command's output
        return
    course, console = trained.fit, Console()
    steps = "1 step" if course.steps == 1 else f"{course.steps} steps"
    console.print(Markdown(scores_table(trained.figures)))
    console.print(
        f"{steps} in {course.seconds / 60:.1f} minutes; kept step {course.best_step}; "
        f"ended by: {course.ended_by}\nAMD_MODEL={options.out.resolve()}\n{_next_command(trained)}",
        highlight=False,
        soft_wrap=True,
    )


def _next_command(trained: Trained) -> str:
    options = trained.options
    # Without a test part, the model knows every recording of the dataset.
    data = options.data if trained.heard.data.test else "OTHER_DATA"
    against = ("--against", options.model) if options.scratch is None else ()
    return next_command("evaluate", data, "--model", options.out, *against)


def _report(trained: Trained) -> dict[str, object]:
    return {
        "folder": str(trained.options.out),
        "start": trained.start_id,
        "warnings": trained.heard.warnings,
        "temperature": trained.temperature,
        "course": asdict(trained.fit),
        "parts": {str(split): len(files) for split, files in trained.heard.data.parts.items()},
        "scores": {str(split): asdict(each) for split, each in trained.figures.items()},
    }
