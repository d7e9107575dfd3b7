"""Decides whether a model may replace the model of the service. Changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amd_service.detection.label_check import Proof
from amd_service.domain import ModelIdentity
from amd_service.lab.dataset.audio_folder import read_folder
from amd_service.lab.evaluation.comparison import Comparison
from amd_service.lab.evaluation.measurement import Figures, Question
from amd_service.lab.evaluation.run_evaluation import Evaluation, chosen_files, evaluate_files
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings
from amd_service.settings.detection import PRODUCTION_MODEL

# Settings that describe the present model and would be wrong for another one.
_OF_ONE_MODEL = ("model_revision", "labels")
# Settings that override the windows and thresholds of the model folder.
_OVERRIDING = (
    "min_confidence",
    "min_confidence_human",
    "min_confidence_voicemail",
    "window_ms",
    "long_window_ms",
    "long_window",
)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A model that was measured on labelled recordings.

    - `refusals`: why the model must not be used, empty if it may be used;
    - `change`, `change_back`: lines of a shell that set the new model and the present model;
    - `notes`: other settings to look at.
    """

    model: ModelIdentity
    figures: Figures
    present: ModelIdentity | None
    comparison: Comparison | None
    refusals: list[str]
    change: str
    change_back: str
    notes: list[str]


async def examine(
    settings: Settings,
    folder: str,
    data: Path,
    *,
    min_accuracy: float | None,
    min_clips: int,
    started: Callable[[int], None],
    judged: Callable[[], None],
) -> Promotion:
    """Measure the model on the test split of a dataset, or on all files of a dataset without splits.

    `min_accuracy`: least share of right labels. None: the model must not be worse than the present one, outside the
    95 % interval. `min_clips`: least number of clips of each label. `started` gets the number of judgements, and
    `judged` is called after each of them.

    Raises ModelUnusable if a model cannot be loaded, contradicts the golden clips, or has no checked engine where the
    settings demand one. Raises DatasetUnusable.
    """
    dataset = read_folder(data, keep_other=True)
    split = Split.TEST if dataset.has_splits else None
    question = Question.about(dataset.files)
    files = chosen_files(dataset, split, question)
    candidate = settings.with_model(folder).model_copy(update={"golden": "enforce"})
    against = settings if min_accuracy is None else None
    started(len(files) * (1 if against is None else 2))
    evaluation = await evaluate_files(files, question, candidate, against, data=str(data), split=split, judged=judged)
    return Promotion(
        model=evaluation.model.model,
        figures=evaluation.model.figures,
        present=evaluation.against.model if evaluation.against else None,
        comparison=evaluation.comparison,
        refusals=[*_too_few(evaluation, min_clips), *_refusals(evaluation, min_accuracy)],
        change=f"AMD_MODEL={folder}",
        change_back="unset AMD_MODEL" if settings.model == PRODUCTION_MODEL else f"AMD_MODEL={settings.model}",
        notes=_notes(settings, evaluation),
    )


def _too_few(evaluation: Evaluation, min_clips: int) -> list[str]:
    figures = evaluation.model.figures
    human, voicemail = figures.human.recall.of, figures.voicemail.recall.of
    if min(human, voicemail) >= min_clips:
        return []
    return [
        f"{human} human and {voicemail} voicemail clips are too few to judge a model, at least {min_clips} of each "
        "label are needed: add recordings, or lower the bound with --min-clips"
    ]


def _refusals(evaluation: Evaluation, min_accuracy: float | None) -> list[str]:
    right = evaluation.model.figures.right.share or 0.0
    if min_accuracy is not None and right < min_accuracy:
        return [f"{right:.1%} of the clips get the right label, below --min-accuracy {min_accuracy:.1%}"]
    found = evaluation.comparison
    if found is None:
        return []
    refusals = []
    if found.right.high is None or found.right.low is None:
        refusals.append(
            f"{found.clips} clips of one group cannot show a difference: add other groups, or set --min-accuracy"
        )
    elif found.right.high < 0:
        refusals.append(
            f"it is right on {-found.right.value:.1%} fewer of the clips than the present model "
            f"({-found.right.high:.1%} to {-found.right.low:.1%})"
        )
    lost = found.humans_lost
    if lost is not None and lost.low is not None and lost.high is not None and lost.low > 0:
        refusals.append(
            f"it calls {lost.value:.1%} more of the humans voicemail than the present model "
            f"({lost.low:.1%} to {lost.high:.1%})"
        )
    return refusals


def _notes(settings: Settings, evaluation: Evaluation) -> list[str]:
    given = settings.model_fields_set
    stale = [name for name in _OF_ONE_MODEL if getattr(settings, name) is not None]
    kept = [name for name in _OVERRIDING if name in given and getattr(settings, name) is not None]
    notes = [warning.removesuffix(".") for warning in evaluation.warnings]
    notes += [f"AMD_{name.upper()} describes the present model: unset it with the change" for name in stale]
    notes += [f"AMD_{name.upper()} stays in force, and overrides the new model's own value" for name in kept]
    if evaluation.model.model.proof != Proof.PROVEN:
        notes.append(f"the golden clips do not prove its label order ({evaluation.model.model.proof})")
    present = evaluation.against.model if evaluation.against else None
    if present is not None and present.engine != evaluation.model.model.engine:
        notes.append(
            f"the present model runs on {present.engine}, the new one on {evaluation.model.model.engine}: export an "
            "engine with `amd-service model export` under the new AMD_MODEL"
        )
    if settings.shadow_model is not None:
        notes.append("unset AMD_SHADOW_MODEL, or set it to the present model to go on comparing")
    return notes
