"""Golden clips prove or contradict the label order."""

from pathlib import Path

import pytest

from amd_service.detection.classifier.labels import LabelOrder, LabelSource
from amd_service.detection.label_check import ClipResult, GoldenClips, Proof, assess, refusal_reason
from amd_service.domain import Label, Scores
from amd_service.settings import Settings

FROM_CONFIG = LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.CONFIG)
FROM_SETTINGS = LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.SETTINGS)
ASSUMED = LabelOrder((Label.HUMAN, Label.VOICEMAIL), LabelSource.ASSUMED)
SHIPPED = GoldenClips(Path("clips"), own=False, enforce=True)
OWN = GoldenClips(Path("clips"), own=True, enforce=True)
WARN = GoldenClips(Path("clips"), own=False, enforce=False)


def results(humans: list[float | None], voicemails: list[float | None]) -> list[ClipResult]:
    """Results from the probabilities of the right labels."""
    return [ClipResult(Label.HUMAN, None if p is None else Scores(p, 1 - p)) for p in humans] + [
        ClipResult(Label.VOICEMAIL, None if p is None else Scores(1 - p, p)) for p in voicemails
    ]


@pytest.mark.parametrize(
    ("humans", "voicemails", "proof"),
    [
        ([0.9] * 5, [0.9] * 5, Proof.PROVEN),
        ([0.9, 0.6, 0.6, 0.6, 0.1], [0.6] * 5, Proof.PROVEN),
        ([0.9, 0.6, 0.6, 0.1, 0.1], [0.9] * 5, Proof.INCONCLUSIVE),
        ([0.05] * 5, [0.05] * 5, Proof.CONTRADICTED),
        ([0.05] * 4 + [0.9], [0.1, 0.05, 0.05, 0.05, 0.5], Proof.CONTRADICTED),
        ([0.2] * 5, [0.2] * 5, Proof.INCONCLUSIVE),  # wrong, but with low confidence
        ([0.01] * 5, [0.99] * 5, Proof.INCONCLUSIVE),  # scores all as voicemail, as can happen with synthetic speech
        ([0.9] * 4, [0.9] * 5, Proof.INCONCLUSIVE),  # too few clips
        ([0.01] * 5, [0.01] * 4, Proof.INCONCLUSIVE),
        ([None] * 5, [None] * 5, Proof.INCONCLUSIVE),
        ([0.5] * 5, [0.5] * 5, Proof.INCONCLUSIVE),
        ([], [], Proof.INCONCLUSIVE),
    ],
)
def test_clip_results_give_a_proof(humans: list[float | None], voicemails: list[float | None], proof: Proof) -> None:
    assert assess(results(humans, voicemails)) is proof


@pytest.mark.parametrize("order", [FROM_CONFIG, FROM_SETTINGS, ASSUMED])
@pytest.mark.parametrize("golden", [SHIPPED, OWN])
def test_a_contradicted_order_must_not_serve_and_the_cure_is_the_other_order(
    order: LabelOrder, golden: GoldenClips
) -> None:
    assert "Set AMD_LABELS=voicemail,human" in (refusal_reason(Proof.CONTRADICTED, order, golden) or "")


def test_a_contradiction_only_warns_without_enforcement() -> None:
    assert refusal_reason(Proof.CONTRADICTED, FROM_CONFIG, WARN) is None


@pytest.mark.parametrize("golden", [SHIPPED, OWN, WARN])
@pytest.mark.parametrize("proof", [Proof.INCONCLUSIVE, Proof.UNPROVEN, Proof.CONTRADICTED])
def test_an_assumed_order_serves_only_when_proven(golden: GoldenClips, proof: Proof) -> None:
    assert "AMD_LABELS=voicemail,human" in (refusal_reason(proof, ASSUMED, golden) or "")
    assert refusal_reason(Proof.PROVEN, ASSUMED, golden) is None


@pytest.mark.parametrize("order", [FROM_CONFIG, FROM_SETTINGS])
@pytest.mark.parametrize("proof", [Proof.PROVEN, Proof.INCONCLUSIVE, Proof.UNPROVEN])
def test_a_named_order_serves_with_inconclusive_clips(order: LabelOrder, proof: Proof) -> None:
    assert refusal_reason(proof, order, SHIPPED) is None


def test_the_users_own_clips_are_found(tmp_path: Path) -> None:
    for name in ("human/b.wav", "human/a.MP3", "voicemail/c.wav", "voicemail/origin.txt", "other/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    golden = GoldenClips.from_settings(Settings(golden_dir=tmp_path, golden="warn"))
    assert (golden.own, golden.enforce) == (True, False)
    assert [(label, path.name) for label, path in golden.clips()] == [
        (Label.HUMAN, "a.MP3"),
        (Label.HUMAN, "b.wav"),
        (Label.VOICEMAIL, "c.wav"),
    ]
