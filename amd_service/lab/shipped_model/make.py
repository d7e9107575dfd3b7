"""Trains the shipped model: `python -m amd_service.lab.shipped_model.make --recipe 8s-sounds --out FOLDER --steps N`.

The same command continues a run that was killed. The same seed gives the same examples in the same order. `--speed`
only measures the steps per second, and prints how many steps fit into a number of minutes.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from amd_service.lab.command import run
from amd_service.lab.shipped_model.finish import finish
from amd_service.lab.shipped_model.loop import Run, train, train_with_teachers
from amd_service.lab.shipped_model.recipes import RECIPES, Recipe
from amd_service.lab.synthesis.corpus import CACHE, Corpus, load_corpus

_WARM_UP, _MEASURED = 5, 25


def measure_speed(corpus: Corpus, recipe: Recipe, *, workers: int) -> tuple[float, float]:
    """Return steps per second and seconds of audio per second, of drawing and training together."""
    run = Run(recipe, 1, _WARM_UP, check_every=10_000, validation_count=1, workers=workers)
    spent = []
    for steps in (_WARM_UP, _WARM_UP + _MEASURED):
        with TemporaryDirectory() as folder:
            began = time.monotonic()
            train(corpus, Path(folder), replace(run, steps=steps))
            spent.append(time.monotonic() - began)
    per_s = _MEASURED / max(spent[1] - spent[0], 1e-3)
    return per_s, per_s * recipe.batch_s


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the model that ships with the service.")
    parser.add_argument("--recipe", choices=sorted(RECIPES), required=True)
    parser.add_argument("--out", type=Path, help="folder for the model")
    parser.add_argument("--start", type=Path, help="folder of a model whose weights are trained further")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--corpus-seed", type=int, default=7, help="seed of the utterances")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--limit-minutes", type=float, default=90.0, help="longest training of one model")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the utterances to render")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for rendered speech")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw examples")
    parser.add_argument("--speed", action="store_true", help="only measure the speed")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    corpus = load_corpus(options.corpus_seed, scale=options.scale, cache=options.cache)
    recipe = RECIPES[options.recipe]
    if options.speed or options.out is None:
        steps, audio_s = measure_speed(corpus, recipe, workers=options.workers)
        fitting = round(steps * 60 * options.limit_minutes)
        print(f"{steps:.2f} steps/s, {audio_s:.0f} s of audio per s: {fitting} steps in {options.limit_minutes:g} min")  # noqa: T201
        return
    run = Run(
        recipe, options.seed, options.steps, options.limit_minutes * 60, workers=options.workers, start=options.start
    )
    train_with_teachers(corpus, options.out, run)
    finish(corpus, options.out, run, recipe_name=options.recipe)


if __name__ == "__main__":
    run(main)
