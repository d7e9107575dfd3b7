"""Evaluates a model on voices that were not used in training: `python -m amd_service.lab.evaluate --model FOLDER`.

The call starts of the test split pass through the same steps as in the service: onset search, window, normalisation,
model and threshold.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.window import RATE_HZ, cut
from amd_service.detection.classifier.softmax import softmax
from amd_service.domain import Anchor, Label, Waveform, Window
from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ as TELEPHONE_RATE_HZ
from amd_service.lab.synthesis.voices import Split

DEMO_MODEL = Path(__file__).parents[1] / "models" / "demo"
SHORT_MS, LONG_MS = 2000, 5000
THRESHOLD = 0.7
_BINS = 10

Predict = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One classified recording. `short`, `long`: probability of voicemail per window; None if no speech was found."""

    label: Label
    engine: str
    language: str
    short: float | None
    long: float | None

    @property
    def final(self) -> float | None:
        """Return the probability of the long window if the short window is unsure, else that of the short window."""
        unsure = self.short is not None and max(self.short, 1 - self.short) < THRESHOLD
        return self.long if unsure else self.short


def load_predictor(folder: Path) -> Predict:
    """Load the model in `folder`. Returns a function from a window to its probability of voicemail."""
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    column = {name: int(index) for index, name in model.config.id2label.items()}["voicemail"]

    def predict(window: Window) -> float:
        inputs = extractor(window.samples, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            return float(softmax(model(**inputs).logits[0])[column])

    return predict


def run_trials(
    predict: Predict,
    corpus: Corpus,
    *,
    count: int,
    seed: int,
    split: Split = Split.TEST,
    windows_ms: tuple[int, int] = (SHORT_MS, LONG_MS),
) -> list[Trial]:
    """Classify `count` call starts of the split, half of each label, with a first and a second window."""
    trials = []
    for call_start, heard in draw_recordings(corpus, split, windows_ms[1] / 1000, seed, count):
        waveform = Waveform(heard, TELEPHONE_RATE_HZ)
        onset_ms = speech_onset_ms(waveform)
        short, long = (
            None if onset_ms is None else predict(cut(waveform, onset_ms=onset_ms, anchor=Anchor.AUTO, length_ms=ms))
            for ms in windows_ms
        )
        engine = str(call_start.voice.engine) if call_start.voice else ""
        trials.append(Trial(call_start.label, engine, call_start.language or "", short, long))
    return trials


def measure(trials: Sequence[Trial]) -> dict[str, object]:
    """Return all figures of the model card, as JSON values."""
    return {
        "recordings": len(trials),
        "threshold": THRESHOLD,
        "2 s window": _figures([(trial.label, trial.short) for trial in trials]),
        "5 s window": _figures([(trial.label, trial.long) for trial in trials]),
        "service (2 s, then 5 s when unsure)": _figures([(trial.label, trial.final) for trial in trials]),
        "by engine": _grouped(trials, lambda trial: trial.engine),
        "by language": _grouped(trials, lambda trial: trial.language),
    }


def _grouped(trials: Sequence[Trial], key: Callable[[Trial], str]) -> dict[str, object]:
    return {
        name: _figures([(trial.label, trial.final) for trial in trials if key(trial) == name])
        for name in sorted({key(trial) for trial in trials})
    }


def _figures(classified: Sequence[tuple[Label, float | None]]) -> dict[str, float | int]:
    """Compute rates per true label at the threshold, accuracy of the top class, and calibration.

    A recording without detected speech counts as undecided. In the accuracy, such a recording counts as wrong.
    """
    humans = [score for label, score in classified if label is Label.HUMAN]
    machines = [score for label, score in classified if label is Label.VOICEMAIL]
    right = sum(s is not None and s < 0.5 for s in humans) + sum(s is not None and s > 0.5 for s in machines)
    return {
        "count": len(classified),
        "accuracy": _share(right, len(classified)),
        "human called human": _rate(humans, lambda s: 1 - s >= THRESHOLD),
        "human called voicemail": _rate(humans, lambda s: s >= THRESHOLD),
        "voicemail called voicemail": _rate(machines, lambda s: s >= THRESHOLD),
        "voicemail called human": _rate(machines, lambda s: 1 - s >= THRESHOLD),
        "undecided": _share(sum(s is None or max(s, 1 - s) < THRESHOLD for _, s in classified), len(classified)),
        "calibration error": round(_calibration_error(classified), 3),
    }


def _rate(scores: Sequence[float | None], holds: Callable[[float], bool]) -> float:
    return _share(sum(score is not None and holds(score) for score in scores), len(scores))


def _share(part: int, whole: int) -> float:
    return round(part / max(whole, 1), 3)


def _calibration_error(classified: Iterable[tuple[Label, float | None]]) -> float:
    """Return the expected calibration error of the top class, over ten equal bins from 0.5 to 1."""
    pairs = [(max(s, 1 - s), (s > 0.5) == (label is Label.VOICEMAIL)) for label, s in classified if s is not None]
    if not pairs:
        return 0.0
    confidence, correct = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    bins = np.minimum(((confidence - 0.5) * 2 * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(confidence[bins == index].mean() - correct[bins == index].mean()) * np.mean(bins == index)
        for index in np.unique(bins)
    ]
    return float(np.sum(gaps))


def as_markdown(measured: dict[str, object]) -> str:
    """Return the table of the model card as Markdown."""
    rows: list[tuple[str, dict[str, float]]] = []
    for name, value in measured.items():
        if name.startswith("by ") and isinstance(value, dict):
            rows += [(f"{name.removeprefix('by ')}: {part}", figures) for part, figures in value.items()]
        elif isinstance(value, dict):
            rows.append((name, value))
    columns = list(rows[0][1])
    lines = [" | ".join(["", "", *columns, ""]).strip(), "|---" * (len(columns) + 1) + "|"]
    lines += [
        " | ".join([f"| {name}", *(f"{figures[column]:g}" for column in columns)]) + " |" for name, figures in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO_MODEL)
    parser.add_argument("--seed", type=int, default=7, help="seed of the corpus and of the recordings")
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the planned utterances in the corpus")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # one window is too little work for several threads
    corpus = load_corpus(options.seed, scale=options.scale, splits=(Split.TEST,), cache=options.cache)
    trials = run_trials(load_predictor(options.model), corpus, count=options.count, seed=options.seed)
    measured = measure(trials)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    print(as_markdown(measured))  # noqa: T201 - output of a command


if __name__ == "__main__":
    main()
