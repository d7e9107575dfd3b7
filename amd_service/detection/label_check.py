"""Golden clips: recordings whose label is known, which prove or contradict the order of the model's labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.decision import top_label
from amd_service.domain import Label, Scores
from amd_service.settings import Settings

SHIPPED_CLIPS = Path(__file__).parents[1] / "models" / "golden"
LABELS = (Label.HUMAN, Label.VOICEMAIL)

LEAST_CLIPS = 5
MOST_OF_THEM = 0.8
# A model that merely dislikes the clips is wrong too, but not this sure for both labels at once.
SURE = 0.9


class Proof(StrEnum):
    """What the golden clips say about the label order."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GoldenClips:
    """Where the golden clips are, whether they are the user's own, and whether a contradiction stops the service."""

    folder: Path
    own: bool
    enforce: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        own = settings.golden_dir is not None
        return cls(settings.golden_dir or SHIPPED_CLIPS, own, settings.golden == "enforce")

    def clips(self) -> list[tuple[Label, Path]]:
        """Every file under `human/` and `voicemail/`, with its label."""
        return [
            (label, path)
            for label in LABELS
            for path in sorted((self.folder / label).glob("*"))
            if path.is_file() and path.suffix.lower() in (".wav", ".mp3")
        ]

    def shortage(self) -> str | None:
        """Why the user's own clips cannot prove anything, in one line with the cure; None: there are enough.

        A mistyped folder must not pass for one whose clips the model merely dislikes.
        """
        found = [label for label, _ in self.clips()]
        if not self.own or all(found.count(label) >= LEAST_CLIPS for label in LABELS):
            return None
        counts = " and ".join(f"{found.count(label)} under {label}/" for label in LABELS)
        return (
            f"AMD_GOLDEN_DIR={self.folder} holds {counts}; at least {LEAST_CLIPS} recordings (WAV or MP3) of each are "
            "needed. Correct it, or unset it to use the clips that ship"
        )


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the model said of one golden clip; None where it could not be shown to the model."""

    label: Label
    scores: Scores | None


def assess(hearings: Sequence[Hearing]) -> Proof:
    """Proven: most clips of each label are right. Contradicted: most of both land surely on the other label.

    With fewer than five clips of a label, and in every other case, inconclusive: a model trained on real calls may
    well dislike synthetic clips.
    """
    if any(sum(hearing.label is label for hearing in hearings) < LEAST_CLIPS for label in LABELS):
        return Proof.INCONCLUSIVE
    if all(_share(hearings, label, lands_on=label, at_least=0.0) >= MOST_OF_THEM for label in LABELS):
        return Proof.PROVEN
    if all(_share(hearings, label, lands_on=_other(label), at_least=SURE) >= MOST_OF_THEM for label in LABELS):
        return Proof.CONTRADICTED
    return Proof.INCONCLUSIVE


def objection(proof: Proof, order: LabelOrder, golden: GoldenClips) -> str | None:
    """Why a model with this outcome must not serve, in one line with the setting that cures it; None: it may.

    A model that names nothing must be proven whatever `AMD_GOLDEN` says: without names the order is a guess.
    """
    whose = "your golden clips" if golden.own else "the golden clips"
    if proof is Proof.CONTRADICTED and (golden.enforce or order.source is LabelSource.ASSUMED):
        return (
            f"{whose} contradict the label order {_read(order)}: humans are heard as voicemail and voicemails as "
            f"human. Set {order.swapped_line}"
            + ("" if golden.own else "; or let clips of your own calls decide: AMD_GOLDEN_DIR")
        )
    if proof is not Proof.PROVEN and order.source is LabelSource.ASSUMED:
        return (
            f"the model does not name its labels, and {whose} do not tell which is which ({proof}). Look it up where "
            f"the model comes from and set {order.line} or {order.swapped_line}"
        )
    return None


def _read(order: LabelOrder) -> str:
    return (
        f"{','.join(order.labels)} (from the {'model config' if order.source is LabelSource.CONFIG else order.source})"
    )


def _share(hearings: Sequence[Hearing], label: Label, *, lands_on: Label, at_least: float) -> float:
    of_label = [hearing for hearing in hearings if hearing.label is label]
    landed = [hearing for hearing in of_label if _lands(hearing.scores, lands_on, at_least)]
    return len(landed) / len(of_label)


def _lands(scores: Scores | None, label: Label, at_least: float) -> bool:
    if scores is None or scores.human == scores.voicemail:
        return False
    return top_label(scores) is label and max(scores.human, scores.voicemail) >= at_least


def _other(label: Label) -> Label:
    return Label.VOICEMAIL if label is Label.HUMAN else Label.HUMAN
