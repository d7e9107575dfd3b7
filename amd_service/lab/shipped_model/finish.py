"""Finishes a trained model: offset, temperature, windows and model card."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.known_models import count_parameters
from amd_service.detection.classifier.model_windows import WINDOWS_FILE
from amd_service.domain import Anchor, Label, Waveform
from amd_service.lab.shipped_model.card import BEGIN, CARD, END
from amd_service.lab.shipped_model.loop import Run
from amd_service.lab.shipped_model.recipes import Recipe
from amd_service.lab.shipped_model.trials import load_scorer
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training.model_folder import write_json
from amd_service.lab.training.scoring import fit_temperature

_OFFSET = "voicemail_offset"  # in the metadata of the weights file

_CARD = """# Human or voicemail: {name}

A Wav2Vec2 ({parameters:,} parameters) that distinguishes a person who answers a phone from a voicemail greeting. **It
is for demonstration and tests, never for real calls**, because it was trained only on the computer voices of espeak-ng,
flite and festival.

Input: 16 kHz mono. The service looks at the first {first} ms and at {long} ms, by the rules in `windows.json`.

## Training

```
python -m amd_service.lab.shipped_model.make --recipe {recipe} --out MODEL --seed {seed} --steps {planned_steps}
```

{steps} steps in {minutes:.0f} minutes. Lowest loss on validation voices: {validation_loss:.3f}. Temperature, fitted on
{calls} calls by validation voices: {temperature}. The fit also added {offset} to the logit of voicemail. Both labels
have the same voices. The voices are split by speaker.

## Evaluation

{begin}
Not measured yet.
{end}

Shares of the recordings by test voices, with 95 % intervals that take into account how few voices there are. `found`
and `lost`: shares of the recordings with this true label that got it, and that got the opposite label.
"""


def finish(corpus: Corpus, out: Path, run: Run, *, recipe_name: str, calls: int = 400) -> None:
    """Add the offset to the weights, and write `windows.json`, `calibration.json`, and the card unless there is one.

    The figures of the card come from `card.py`.
    """
    write_windows(out, run.recipe)
    temperature = calibrate(corpus, out, run.recipe, seed=run.seed, count=calls)
    if (out / CARD).exists():
        return
    training = json.loads((out / "training.json").read_text(encoding="utf-8"))
    text = _CARD.format(
        name=out.name,
        recipe=recipe_name,
        parameters=count_parameters(sorted(out.glob("*.safetensors"))),
        first=run.recipe.windows_ms[0],
        long=run.recipe.windows_ms[1],
        minutes=training["seconds"] / 60,
        calls=calls,
        temperature=temperature,
        offset=stated_offset(out / "model.safetensors"),
        begin=BEGIN,
        end=END,
        **training,
    )
    (out / CARD).write_text(text, encoding="utf-8")


def write_windows(out: Path, recipe: Recipe) -> None:
    """Write `windows.json`, which the service reads."""
    write_json(out / WINDOWS_FILE, {key: value for key, value in asdict(recipe.windows).items() if value is not None})


def calibrate(corpus: Corpus, out: Path, recipe: Recipe, *, seed: int, count: int) -> float:
    """Fit an offset and a temperature on calls by validation voices, in both windows. Returns the temperature.

    The offset is added to the bias of the voicemail output, so that neither label is favoured. The weights file states
    it in its metadata, so a second calibration changes nothing. The temperature is written to `calibration.json`.
    """
    score, _ = load_scorer(out)
    scored, targets = [], []
    for start, heard in draw_recordings(corpus, Split.VALIDATION, recipe.windows_ms[1] / 1000, seed, count):
        call, onset_ms = Waveform(heard, RATE_HZ), round((start.onset_s or 0.0) * 1000)
        windows = [cut(call, onset_ms=onset_ms, anchor=Anchor.AUTO, length_ms=ms) for ms in recipe.windows_ms]
        scored.append([score(window) for window in windows])
        targets.append(float(start.label is Label.VOICEMAIL))
    logits = np.array(scored)
    weights = out / "model.safetensors"
    before = stated_offset(weights)
    logits[:, :, 1] -= before
    offset = round(fit_offset(logits, targets), 2)
    logits[:, :, 1] += offset
    if offset != before:
        _set_offset(weights, before, offset)
    temperature = fit_temperature(logits, targets)
    write_json(out / "calibration.json", {"temperature": temperature})
    return temperature


def fit_offset(logits: NDArray[np.float64], targets: Sequence[float]) -> float:
    """Return what to add to the logit of voicemail, at most 1. `logits`: (calls, windows, 2). `targets`: 1 or 0."""
    margins = logits[:, :, 1] - logits[:, :, 0]
    fitted = LogisticRegression().fit(margins.reshape(-1, 1), np.repeat(targets, margins.shape[1]))
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    # Without a positive slope, the model does not tell the labels apart, and no offset helps.
    return float(np.clip(intercept / slope, -1, 1)) if slope > 0 else 0.0


def stated_offset(weights: Path) -> float:
    """Return the offset that a weights file says it contains, or 0."""
    with safe_open(weights, "pt") as file:
        return float((file.metadata() or {}).get(_OFFSET, 0))


def _set_offset(weights: Path, before: float, offset: float) -> None:
    """Replace the weights in one step, so that a killed process leaves the previous ones."""
    tensors = load_file(weights)
    tensors["classifier.bias"][1] += offset - before
    partial = weights.with_suffix(".partial")
    save_file(tensors, partial, {"format": "pt", _OFFSET: str(offset)})
    partial.chmod(0o644)  # safetensors makes the file readable only by its owner
    partial.replace(weights)
