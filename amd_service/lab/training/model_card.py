"""Writes the model card, the README.md of a model folder: data, scores, arguments and limits.

The head of the file is metadata for the Hugging Face hub: https://huggingface.co/docs/hub/model-cards
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from amd_service import __version__
from amd_service.domain import Label
from amd_service.lab.evaluation.measurement import Figures
from amd_service.lab.evaluation.rates import FEW_CLUSTERS, Rate
from amd_service.lab.evaluation.tables import intervals_note
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training.training_options import Trained

_HEAD = """---
library_name: transformers
pipeline_tag: audio-classification
tags: [answering-machine-detection, wav2vec2, telephone]
---
"""
# Keys of `dataset.json` that say where the recordings come from.
_PROVENANCE = ("built_by", "built_at", "sources", "settings", "newest_review", "reviews")


def write_card(path: Path, trained: Trained) -> None:
    """Write the card."""
    sections = [section(trained) for section in (_introduction, _data, _scores, _training, _limits)]
    path.write_text(_HEAD + "\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def _introduction(trained: Trained) -> str:
    policy = trained.options.policy
    return (
        f"# Human or voicemail: {trained.options.out.name}\n\n"
        "A Wav2Vec2 that distinguishes a person who answers a phone from a voicemail greeting. `amd-service train` "
        f"(version {__version__}) made it from `{trained.start_id}`.\n\n"
        "Input: 16 kHz mono, the called party's channel alone. The service looks at the first "
        f"{policy.window_ms} ms and at {policy.long_window_ms} ms (longer window: {policy.long_window}). "
        "To use the model: `AMD_MODEL=` this folder."
    )


def _data(trained: Trained) -> str:
    rows = [
        (
            str(split),
            len(files),
            *(sum(file.label == label for file in files) for label in (Label.HUMAN, Label.VOICEMAIL)),
            len({file.group_or_path for file in files}),
            trained.heard.without_speech(split),
            ", ".join(sorted({file.language or "not stated" for file in files})),
        )
        for split, files in trained.heard.data.parts.items()
    ]
    header = ("part", "recordings", "human", "voicemail", "groups", "without speech", "languages")
    manifest = {key: trained.heard.data.manifest[key] for key in _PROVENANCE if key in trained.heard.data.manifest}
    provenance = (
        f"Provenance, from `dataset.json`:\n\n```json\n{json.dumps(manifest, indent=2, ensure_ascii=False)}\n```"
        if manifest
        else "The dataset has no `dataset.json`, so the source of its recordings is not recorded."
    )
    return (
        f"## Data\n\n{markdown_table(header, rows)}\n\n"
        f"No group (caller, voice or day) is in two parts. Validation part: {trained.heard.data.held_out_by}. "
        f"SHA-256 of names and labels: `{trained.heard.data.digest}`.\n\n{provenance}"
    )


def _scores(trained: Trained) -> str:
    note = intervals_note(trained.evaluation)
    if trained.evaluation.clusters is not None:
        note = (
            "95 % intervals by bootstrap over the groups of the part (counted above). With fewer than "
            f"{FEW_CLUSTERS} groups they are too narrow."
        )
    return (
        "## Scores\n\nVerdicts of the service, from the code of `amd-service evaluate`. A recording without speech is "
        f"undecided. {note}\n\n"
        f"{scores_table(trained.figures)}\n\n"
        "The validation part chose the best checkpoint and the temperature, so its scores are slightly too good. The "
        "test part had no influence. To measure the model again, or against another model: `amd-service evaluate`."
    )


def scores_table(figures: Mapping[Split, Figures]) -> str:
    """Return the figures of each part as a Markdown table."""
    header = ("part", "recordings", "right", "undecided", "humans called voicemail", "voicemails called human")
    rows = [
        (
            str(split),
            each.clips,
            *map(describe_rate, (each.right, each.undecided, each.human.lost, each.voicemail.lost)),
        )
        for split, each in figures.items()
    ]
    return markdown_table(header, rows)


def describe_rate(rate: Rate) -> str:
    """Return a share with its interval, such as `4 % (1 to 10, 4 of 100)`."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "–"
    share, low, high = (100 * value for value in (rate.share, rate.low, rate.high))
    return f"{share:.0f} % ({low:.0f} to {high:.0f}, {rate.count} of {rate.of})"


def _training(trained: Trained) -> str:
    course = trained.fit
    return (
        f"## Training\n\n{course.steps} steps in {course.seconds / 60:.1f} minutes on {course.device} in "
        f"{course.precision}; ended by: {course.ended_by}. Kept: step {course.best_step}, with a held-out loss of "
        f"{course.best_loss:.3f}. Temperature: {trained.temperature}.\n\n"
        f"```json\n{json.dumps(trained.arguments, indent=2, ensure_ascii=False, default=str)}\n```"
    )


def _limits(trained: Trained) -> str:
    lines = [
        "The scores hold for recordings like those of the dataset: the same languages, kinds of callees and networks.",
        "Calls that are neither a person nor a voicemail (menus, call screening, music) were not trained.",
    ]
    lines += trained.heard.warnings
    if all(file.group is None for files in trained.heard.data.parts.values() for file in files):
        lines.append("The dataset names no groups, so one voice may be in several parts. The scores may be too good.")
    if not trained.heard.data.test:
        lines.append("There was no test part, so no score above is independent of the training.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
