"""Measures whether a fit of the model's score and the rhythm of speech is right more often than the model alone.

`python -m amd_service.lab.shipped_model.fusion --model FOLDER` fits a logistic regression on calls by validation
voices, and measures it on calls by test voices. It prints the difference with its 95 % interval, and the coefficients.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from amd_service.detection.evidence.rhythm import RHYTHM_MS
from amd_service.domain import Label
from amd_service.lab.command import run
from amd_service.lab.evaluation.comparison import mcnemar
from amd_service.lab.evaluation.rates import Floats, Mask, Mean, Rate, mean, rate
from amd_service.lab.shipped_model.checks import Model, load_model
from amd_service.lab.shipped_model.simple_rules import DrawnCall, draw_calls
from amd_service.lab.synthesis.corpus import CACHE, load_corpus
from amd_service.lab.synthesis.voices import Split
from amd_service.settings.detection import DEFAULT_MIN_CONFIDENCE

FIGURES = ("score", "speech_at_s", "first_burst_s", "longest_run_s", "speech_share", "pauses", "longest_pause_s",
           "trailing_silence_s")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """The calls in which speech was found. `figures`: a row per call, a column per FIGURES. `is_voicemail`: truth."""

    figures: Floats
    is_voicemail: Mask


@dataclass(frozen=True, slots=True)
class Gain:
    """Shares of right labels on the same calls, where a score above 0.5 is a voicemail.

    - `alone`, `fused`: all calls; `alone_decided`, `fused_decided`: calls with a confidence of the service's threshold;
    - `difference`: of `fused` and `alone`; `p_value`: exact McNemar test.
    """

    alone: Rate
    fused: Rate
    alone_decided: Rate
    fused_decided: Rate
    difference: Mean
    p_value: float


def measure_calls(model: Model, calls: Sequence[DrawnCall]) -> Heard:
    """Score the calls. The score of a call is the log odds of voicemail on the window that decides."""
    rows, truth = [], []
    for call in calls:
        voicemail = model.score(call.heard)
        if voicemail is not None:
            rows.append(_figures(call, voicemail))
            truth.append(call.start.label is Label.VOICEMAIL)
    return Heard(np.array(rows), np.array(truth))


def fit(calls: Heard) -> Pipeline:
    """Fit a logistic regression on standardised figures."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(calls.figures, calls.is_voicemail)


def measure_gain(fitted: Pipeline, calls: Heard) -> Gain:
    """Compare the fit with the model alone."""
    alone = 1 / (1 + np.exp(-calls.figures[:, 0]))
    fused = fitted.predict_proba(calls.figures)[:, 1]
    right_alone, right_fused = ((score > 0.5) == calls.is_voicemail for score in (alone, fused))
    every = np.ones(len(alone), bool)
    return Gain(
        rate(right_alone, every),
        rate(right_fused, every),
        rate(right_alone, _is_decided(alone)),
        rate(right_fused, _is_decided(fused)),
        mean(np.subtract(right_fused, right_alone, dtype=float)),
        mcnemar(int(np.count_nonzero(right_fused & ~right_alone)), int(np.count_nonzero(right_alone & ~right_fused))),
    )


def coefficients(fitted: Pipeline) -> dict[str, object]:
    """Return the fit as JSON: log odds = intercept + sum of weight * (figure - mean) / scale."""
    scaler, regression = fitted[0], fitted[1]
    columns = zip(FIGURES, scaler.mean_, scaler.scale_, regression.coef_[0], strict=True)
    return {
        "intercept": round(float(regression.intercept_[0]), 4),
        "figures": {
            name: {"mean": round(float(at), 4), "scale": round(float(scale), 4), "weight": round(float(weight), 4)}
            for name, at, scale, weight in columns
        },
    }


def _figures(call: DrawnCall, voicemail: float) -> list[float]:
    rhythm = call.rhythm
    kept = min(max(voicemail, 1e-4), 1 - 1e-4)  # a score of 1 has no log odds
    start_ms = RHYTHM_MS if rhythm.speech_at_ms is None else rhythm.speech_at_ms
    return [
        float(np.log(kept / (1 - kept))),
        start_ms / 1000,
        rhythm.first_burst_ms / 1000,
        rhythm.longest_run_ms / 1000,
        rhythm.speech_share,
        float(rhythm.pauses),
        rhythm.longest_pause_ms / 1000,
        rhythm.trailing_silence_ms / 1000,
    ]


def _is_decided(voicemail: Floats) -> Mask:
    return np.asarray(np.maximum(voicemail, 1 - voicemail) >= DEFAULT_MIN_CONFIDENCE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure whether rhythm beside the model's score helps.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7, help="seed of the corpus and of the calls")
    parser.add_argument("--count", type=int, default=1200, help="calls to fit on, and calls to measure on")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the planned utterances in the corpus")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    model, splits = load_model(options.model), (Split.VALIDATION, Split.TEST)
    corpus = load_corpus(options.seed, scale=options.scale, splits=splits, cache=options.cache)
    seconds = model.policy.long_window_ms / 1000
    learn, test = (
        measure_calls(model, draw_calls(corpus, split, seconds=seconds, count=options.count, seed=options.seed))
        for split in splits
    )
    fitted = fit(learn)
    print(json.dumps({"gain": asdict(measure_gain(fitted, test)), "fit": coefficients(fitted)}, indent=2))  # noqa: T201


if __name__ == "__main__":
    run(main)
