"""Checks the order of the model's labels with the scores of golden clips (recordings with known labels)."""

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

MIN_CLIPS = 5
MIN_SHARE = 0.8
# Minimum confidence (a probability) of a wrong score that counts as a contradiction. A bad model gives wrong scores
# too, but rarely with this confidence for both labels.
CONTRADICTION_CONFIDENCE = 0.9


class Proof(StrEnum):
    """Result of the check of the label order with the golden clips."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GoldenClips:
    """A folder of golden clips (recordings with known labels).

    `own`: True for the user's clips (AMD_GOLDEN_DIR), False for the shipped clips. `enforce`: True if the classifier
    must not serve when the clips contradict the label order.
    """

    folder: Path
    own: bool
    enforce: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        own = settings.golden_dir is not None
        return cls(settings.golden_dir or SHIPPED_CLIPS, own, settings.golden == "enforce")

    def clips(self) -> list[tuple[Label, Path]]:
        """Return every WAV and MP3 file under `human/` and `voicemail/`, with its label."""
        return [
            (label, path)
            for label in LABELS
            for path in sorted((self.folder / label).glob("*"))
            if path.is_file() and path.suffix.lower() in (".wav", ".mp3")
        ]

    def shortage(self) -> str | None:
        """Return an error message with the cure if the user has too few clips for a label, or None.

        If the path of the folder is mistyped, the user must see this error. Without the error message, the result of
        the label check would only be `inconclusive`.
        """
        found = [label for label, _ in self.clips()]
        if not self.own or all(found.count(label) >= MIN_CLIPS for label in LABELS):
            return None
        counts = " and ".join(f"{found.count(label)} recordings under {label}/" for label in LABELS)
        return (
            f"AMD_GOLDEN_DIR={self.folder} has {counts}; at least {MIN_CLIPS} recordings (WAV or MP3) per label "
            "are needed. Correct AMD_GOLDEN_DIR, or unset it to use the shipped clips"
        )


@dataclass(frozen=True, slots=True)
class ClipResult:
    """The known label and the scores of one golden clip. `scores` is None if the clip could not be scored."""

    label: Label
    scores: Scores | None


def assess(results: Sequence[ClipResult]) -> Proof:
    """Compare the scores of golden clips with their known labels.

    - `proven`: for each label, the model gives at least 80 % of the label's clips the known label;
    - `contradicted`: for each label, the model gives at least 80 % of the label's clips the other label, with a
      confidence of at least 0.9;
    - `inconclusive`: any other result, or fewer than five clips of a label. The result for a good model can be
      `inconclusive`, because a model trained on real calls may score synthetic clips badly.
    """
    if any(sum(result.label is label for result in results) < MIN_CLIPS for label in LABELS):
        return Proof.INCONCLUSIVE
    if all(_share(results, label, scored_as=label, min_confidence=0.0) >= MIN_SHARE for label in LABELS):
        return Proof.PROVEN
    swapped = ((Label.HUMAN, Label.VOICEMAIL), (Label.VOICEMAIL, Label.HUMAN))
    if all(
        _share(results, label, scored_as=other, min_confidence=CONTRADICTION_CONFIDENCE) >= MIN_SHARE
        for label, other in swapped
    ):
        return Proof.CONTRADICTED
    return Proof.INCONCLUSIVE


def refusal_reason(proof: Proof, order: LabelOrder, golden: GoldenClips) -> str | None:
    """Return an error message with the cure if the model must not serve, or None if the model may serve.

    If a model does not name its labels, its label order is a guess. Golden clips must prove the order of such a model,
    even if AMD_GOLDEN is not `enforce`.
    """
    clips = "your golden clips" if golden.own else "the golden clips"
    if proof is Proof.CONTRADICTED and (golden.enforce or order.source is LabelSource.ASSUMED):
        source = "model config" if order.source is LabelSource.CONFIG else order.source
        return (
            f"{clips} contradict the label order {','.join(order.labels)} (from the {source}): humans are scored as "
            f"voicemail and voicemails as human. Set {order.swapped_line}"
            + ("" if golden.own else "; or set AMD_GOLDEN_DIR to a folder with clips of your own calls")
        )
    if proof is not Proof.PROVEN and order.source is LabelSource.ASSUMED:
        return (
            f"the model does not name its labels, and {clips} do not prove their order ({proof}). Find the order "
            f"in the model's documentation, then set {order.line} or {order.swapped_line}"
        )
    return None


def _share(results: Sequence[ClipResult], label: Label, *, scored_as: Label, min_confidence: float) -> float:
    """Return the share of the clips of `label` that the model scores as `scored_as`.

    Clips with equal scores do not count as scored.
    """
    of_label = [result.scores for result in results if result.label is label]
    decided = [scores for scores in of_label if scores is not None and scores.human != scores.voicemail]
    confident = [scores for scores in decided if max(scores.human, scores.voicemail) >= min_confidence]
    return sum(top_label(scores) is scored_as for scores in confident) / len(of_label)
