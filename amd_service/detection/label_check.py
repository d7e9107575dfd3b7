"""Golden clips: recordings with known labels that prove or contradict the order of the model's labels."""

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
# A model that merely scores the clips badly is wrong too, but not this confident for both labels at once.
CONTRADICTION_CONFIDENCE = 0.9


class Proof(StrEnum):
    """Result of the golden clips for the label order."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GoldenClips:
    """A folder of golden clips. `own`: the user's, not those that ship. `enforce`: a contradiction stops serving."""

    folder: Path
    own: bool
    enforce: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        own = settings.golden_dir is not None
        return cls(settings.golden_dir or SHIPPED_CLIPS, own, settings.golden == "enforce")

    def clips(self) -> list[tuple[Label, Path]]:
        """Every WAV and MP3 file under `human/` and `voicemail/`, with its label."""
        return [
            (label, path)
            for label in LABELS
            for path in sorted((self.folder / label).glob("*"))
            if path.is_file() and path.suffix.lower() in (".wav", ".mp3")
        ]

    def shortage(self) -> str | None:
        """Why the user's own clips are too few, in one line with the cure; None if there are enough.

        A mistyped folder is an error; it must not count as clips with an inconclusive result.
        """
        found = [label for label, _ in self.clips()]
        if not self.own or all(found.count(label) >= MIN_CLIPS for label in LABELS):
            return None
        counts = " and ".join(f"{found.count(label)} under {label}/" for label in LABELS)
        return (
            f"AMD_GOLDEN_DIR={self.folder} holds {counts}; at least {MIN_CLIPS} recordings (WAV or MP3) of each are "
            "needed. Correct it, or unset it to use the clips that ship"
        )


@dataclass(frozen=True, slots=True)
class ClipResult:
    """The scores of one golden clip with its known label; None if it could not be scored."""

    label: Label
    scores: Scores | None


def assess(results: Sequence[ClipResult]) -> Proof:
    """Proven: at least 80 % of the clips of each label are right. Contradicted: as many of both are surely wrong.

    Inconclusive in every other case, and with fewer than five clips of a label: a model trained on real calls may
    score synthetic clips badly.
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
    """Why a model with this result must not serve, in one line with the setting that cures it; None if it may.

    A model that does not name its labels must be proven whatever `AMD_GOLDEN` says: its order is a guess.
    """
    clips = "your golden clips" if golden.own else "the golden clips"
    if proof is Proof.CONTRADICTED and (golden.enforce or order.source is LabelSource.ASSUMED):
        source = "model config" if order.source is LabelSource.CONFIG else order.source
        return (
            f"{clips} contradict the label order {','.join(order.labels)} (from the {source}): humans are scored as "
            f"voicemail and voicemails as human. Set {order.swapped_line}"
            + ("" if golden.own else "; or use clips of your own calls: AMD_GOLDEN_DIR")
        )
    if proof is not Proof.PROVEN and order.source is LabelSource.ASSUMED:
        return (
            f"the model does not name its labels, and {clips} do not show which is which ({proof}). Look the order up "
            f"at the model's source and set {order.line} or {order.swapped_line}"
        )
    return None


def _share(results: Sequence[ClipResult], label: Label, *, scored_as: Label, min_confidence: float) -> float:
    """Share of the clips of `label` whose top label is `scored_as`; a tie has no top label."""
    of_label = [result.scores for result in results if result.label is label]
    decided = [scores for scores in of_label if scores is not None and scores.human != scores.voicemail]
    confident = [scores for scores in decided if max(scores.human, scores.voicemail) >= min_confidence]
    return sum(top_label(scores) is scored_as for scores in confident) / len(of_label)
