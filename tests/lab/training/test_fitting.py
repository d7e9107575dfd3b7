from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EvalPrediction, TrainerCallback, Wav2Vec2ForSequenceClassification

from amd_service.domain import Label
from amd_service.lab.training.batches import Collator
from amd_service.lab.training.fitting import Fit, FitOptions, WeightedLoss, balanced_loss, fit, uses_bf16
from tests.support.tone_windows import ToneWindow, ToneWindows

COLLATOR = Collator((Label.HUMAN, Label.VOICEMAIL), normalises=True, masks=True)
OPTIONS = FitOptions(epochs=3, batch_size=4, learning_rate=1e-3, device="cpu", precision="fp32")


class Interrupted(TrainerCallback):
    """Ends the process after some steps, as a power cut would."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self._step:
            raise KeyboardInterrupt


def train(
    model: Path, checkpoints: Path, options: FitOptions, callbacks: Sequence[TrainerCallback] = (), **how: Any
) -> tuple[Fit, np.ndarray[Any, Any]]:
    """Train and return the outcome with the logits of four windows."""
    network: Any = Wav2Vec2ForSequenceClassification.from_pretrained(model)
    outcome = fit(
        network,
        ToneWindows(16),
        ToneWindows(8),
        collator=COLLATOR,
        options=options,
        checkpoints=checkpoints,
        callbacks=callbacks,
        **how,
    )
    torch.manual_seed(99)
    inputs = COLLATOR(ToneWindows(4).__getitems__(range(4)))
    inputs.pop("labels")
    network.eval()
    with torch.inference_mode():
        return outcome, network(**inputs).logits.numpy()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores_and_another_seed_does_not(untrained: Path, tmp_path: Path) -> None:
    short = replace(OPTIONS, epochs=1)
    first, again = (train(untrained, tmp_path / name, short)[1] for name in ("first", "again"))
    other = train(untrained, tmp_path / "other", replace(short, seed=8))[1]
    assert np.abs(first - again).max() < 1e-5
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.slow
def test_a_resumed_training_gives_the_scores_of_an_uninterrupted_one(untrained: Path, tmp_path: Path) -> None:
    whole, scores = train(untrained, tmp_path / "whole", OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(untrained, tmp_path / "cut", OPTIONS, [Interrupted(6)])
    resumed, again = train(untrained, tmp_path / "cut", OPTIONS, resume=True)
    assert (resumed.steps, resumed.best_step) == (whole.steps, whole.best_step)
    assert np.abs(scores - again).max() < 1e-5


@pytest.mark.slow
def test_the_best_weights_are_kept_and_the_training_stops_without_improvement(untrained: Path, tmp_path: Path) -> None:
    hopeless = replace(OPTIONS, epochs=20, patience=2, learning_rate=0.3, warmup=0.0)
    outcome, _ = train(untrained, tmp_path / "checkpoints", hopeless)
    assert outcome.ended_by == "no improvement"
    assert outcome.best_step < outcome.steps < 80
    assert outcome.best_step in {int(path.name.split("-")[1]) for path in (tmp_path / "checkpoints").glob("check*")}


@pytest.mark.slow
def test_the_time_limit_ends_the_training_with_a_validation(untrained: Path, tmp_path: Path) -> None:
    outcome, _ = train(untrained, tmp_path / "checkpoints", replace(OPTIONS, max_minutes=0.0))
    assert (outcome.ended_by, outcome.steps, outcome.best_step) == ("time limit", 1, 1)
    assert np.isfinite(outcome.best_loss)


def test_the_collator_pads_and_masks_windows_and_orders_the_targets_as_the_outputs() -> None:
    short, long = ToneWindow(np.array([1, 2, 3], "f4"), 0.9), ToneWindow(np.array([1, 2, 3, 4, 5], "f4"), 0.2)
    swapped = replace(COLLATOR, labels=(Label.VOICEMAIL, Label.HUMAN))([short, long])
    assert swapped["labels"].numpy() == pytest.approx(np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert swapped["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert swapped["input_values"][0].tolist() == pytest.approx([-1.2247, 0, 1.2247, 0, 0], abs=1e-3)
    assert "attention_mask" not in replace(COLLATOR, masks=False)([short, long])


def test_the_loss_of_accumulated_batches_is_that_of_one_large_batch() -> None:
    class Outputs:
        def __init__(self, logits: torch.Tensor) -> None:
            self.logits = logits

    logits, labels = torch.randn(6, 2), torch.eye(2)[[0, 1, 1, 0, 0, 1]]
    loss = WeightedLoss((1.0, 3.0), 0.1)
    parts = [loss(Outputs(logits[part]), labels[part], labels.numel()) for part in (slice(0, 4), slice(4, 6))]
    assert float(sum(parts)) == pytest.approx(float(loss(Outputs(logits), labels)))


def test_the_balanced_loss_counts_a_rare_label_as_much_as_a_common_one() -> None:
    right = [2.0, -2.0]
    predictions = np.array([right] * 9 + [right])
    labels = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    measured = balanced_loss(EvalPrediction(predictions=predictions, label_ids=labels))["balanced_loss"]
    assert measured == pytest.approx((np.log1p(np.exp(-4)) + np.log1p(np.exp(4))) / 2)


def test_bf16_is_used_on_request_or_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uses_bf16("bf16", use_cuda=False)
    assert not uses_bf16("fp32", use_cuda=False)
    for native in (True, False):
        monkeypatch.setattr("amd_service.lab.training.fitting.has_bf16", lambda native=native: native)
        assert uses_bf16("auto", use_cuda=False) is native
