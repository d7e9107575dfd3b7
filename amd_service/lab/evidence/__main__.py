"""Measures the search for beeps on drawn scenes: `python -m amd_service.lab.evidence --seed 2 --scenes 2000`."""

import argparse
import time

from amd_service.lab.command import run
from amd_service.lab.evaluation.rates import wilson
from amd_service.lab.evidence.scenes import draw_scenes
from amd_service.lab.evidence.score import score_beeps
from amd_service.lab.evidence.speech import render_speech
from amd_service.lab.synthesis.voices import Split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--split", type=Split, default=Split.TEST, help="voices that speak: train, validation or test")
    options = parser.parse_args()
    utterances = render_speech(options.split, options.seed, 150)
    began = time.process_time()
    score = score_beeps(draw_scenes(utterances, options.seed, options.scenes))
    seconds = time.process_time() - began
    print(f"{options.scenes} scenes, {score.hours:.2f} h, {score.beeps} beeps, CPU {seconds:.0f} s")  # noqa: T201
    print(f"recall {score.recall:.4f}, interval {wilson(score.found, score.beeps)}")  # noqa: T201
    print(f"false alarms {dict(score.false_alarms)}, {score.false_alarms_per_hour:.2f} per hour")  # noqa: T201
    print(f"largest error of a found start: {max(score.errors_ms, default=0):.0f} ms")  # noqa: T201


if __name__ == "__main__":
    run(main)
