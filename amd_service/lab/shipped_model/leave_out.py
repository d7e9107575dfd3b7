"""Compares recipes on speech engines that were left out of the training.

`python -m amd_service.lab.shipped_model.leave_out --out FOLDER` trains every recipe once without each
engine, and tests it on the test voices of that engine. Finished runs are kept, and a killed run continues. Prints a
table in Markdown with Wilson intervals, and writes it to FOLDER/table.md.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from amd_service.detection.decision import Policy
from amd_service.domain import Label
from amd_service.lab.command import run
from amd_service.lab.dataset.whole_files import write_bytes
from amd_service.lab.evaluation.curves import roc
from amd_service.lab.evaluation.rates import Interval, wilson
from amd_service.lab.evaluation.sample import Code
from amd_service.lab.shipped_model.finish import calibrate
from amd_service.lab.shipped_model.loop import Run, train_with_teachers
from amd_service.lab.shipped_model.recipes import RECIPES
from amd_service.lab.shipped_model.trials import Trial, load_predictor, run_trials
from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus
from amd_service.lab.synthesis.voices import Engine
from amd_service.settings import Settings

RESULT = "trials.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """A comparison. `steps`, `limit_s`: length of each training. `tests`: test calls for each left-out engine.

    `calibration`: calls by validation voices of the other engines, for offset and temperature.
    """

    seed: int
    steps: int
    limit_s: float
    tests: int
    workers: int = 1
    calibration: int = 400


def run_recipe(corpus: Corpus, name: str, left_out: Engine, folder: Path, plan: Plan) -> list[Trial]:
    """Train one recipe without one engine, test it on that engine, and store the trials. Returns stored trials."""
    out = folder / f"{name}-without-{left_out}-{plan.seed}"
    result = out / RESULT
    if not result.exists():
        recipe = RECIPES[name]
        heard = replace(corpus, engines=tuple(engine for engine in Engine if engine is not left_out))
        train_with_teachers(heard, out, Run(recipe, plan.seed, plan.steps, plan.limit_s, workers=plan.workers))
        calibrate(heard, out, recipe, seed=plan.seed, count=plan.calibration)
        predict = load_predictor(out)
        policy = Policy.from_settings(Settings(_env_file=None), recipe.windows)
        alone = replace(corpus, engines=(left_out,))
        trials = run_trials(predict, alone, count=plan.tests, seed=plan.seed, policy=policy)
        write_bytes(result, json.dumps([asdict(trial) for trial in trials]).encode())
    return [
        Trial(**{**stored, "label": Label(stored["label"]), "called": Label(stored["called"])})
        for stored in json.loads(result.read_text())
    ]


def as_table(results: Mapping[str, Mapping[str, Sequence[Trial]]]) -> str:
    """Return the results by recipe and left-out engine as Markdown, with a row over all engines for each recipe."""
    lines = [
        "| recipe | left-out engine | calls | AUC | right of all | right of decided | decided |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, by_engine in results.items():
        rows = [*by_engine.items()]
        if len(rows) > 1:
            rows.append(("all", [trial for trials in by_engine.values() for trial in trials]))
        lines += [f"| {name} | {engine} | {len(trials)} | {' | '.join(_cells(trials))} |" for engine, trials in rows]
    return "\n".join(lines)


def _cells(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return AUC and shares with intervals. A call without detected speech is neither right nor decided."""
    scored = [trial for trial in trials if trial.voicemail is not None]
    right = [trial for trial in scored if ((trial.voicemail or 0.0) > 0.5) == (trial.label is Label.VOICEMAIL)]
    decided = [trial for trial in trials if trial.called is not Label.UNDECIDED]
    right_of_decided = [trial for trial in decided if trial.called is trial.label]
    return (
        _auc(scored),
        _share(len(right), len(trials)),
        _share(len(right_of_decided), len(decided)),
        _share(len(decided), len(trials)),
    )


def _auc(scored: Sequence[Trial]) -> str:
    truth = np.array([Code.VOICEMAIL if trial.label is Label.VOICEMAIL else Code.HUMAN for trial in scored])
    voicemail = np.array([trial.voicemail for trial in scored], float)
    found = roc(truth, np.stack([1 - voicemail, voicemail], axis=1))
    return "–" if found.auc is None else _with_interval(found.auc, found.interval)


def _share(part: int, whole: int) -> str:
    if not whole:
        return "–"
    return _with_interval(part / whole, wilson(part, whole))


def _with_interval(value: float, interval: Interval | None) -> str:
    return f"{value:.3f} ({interval.low:.3f}–{interval.high:.3f})" if interval else f"{value:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare recipes on speech engines that were left out.")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, results and the table")
    parser.add_argument("--recipes", nargs="+", choices=sorted(RECIPES), default=list(RECIPES))
    parser.add_argument("--engines", nargs="+", choices=[str(engine) for engine in Engine], default=list(Engine))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--limit-minutes", type=float, default=60.0, help="longest training of one model")
    parser.add_argument("--tests", type=int, default=600, help="test calls for each left-out engine")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the utterances to render")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw examples")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    corpus = load_corpus(7, scale=options.scale, cache=options.cache)
    plan = Plan(options.seed, options.steps, options.limit_minutes * 60, options.tests, options.workers)
    results: dict[str, dict[str, Sequence[Trial]]] = {}
    for name in options.recipes:
        for engine in map(Engine, options.engines):
            logging.info("recipe %s without %s", name, engine)
            results.setdefault(name, {})[engine] = run_recipe(corpus, name, engine, options.out, plan)
            (options.out / "table.md").write_text(as_table(results) + "\n", encoding="utf-8")
    print(as_table(results))  # noqa: T201 - output of a command


if __name__ == "__main__":
    run(main)
