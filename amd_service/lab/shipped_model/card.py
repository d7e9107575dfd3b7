"""Writes the figures of a model into its folder: `scores.json` and the table in its README.md.

`python -m amd_service.lab.shipped_model.card EVALUATION --model FOLDER` takes the output of
`amd-service evaluate VOICES --model FOLDER --cluster group --by engine --by language --json`.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amd_service.lab.command import run
from amd_service.lab.dataset.whole_files import write_text

SCORES = "scores.json"
CARD = "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
_RATES = (
    "right",
    "right of decided",
    "undecided",
    "humans found",
    "humans lost",
    "voicemails found",
    "voicemails lost",
)

Figures = Mapping[str, Any]


def select_scores(evaluation: Figures) -> dict[str, Any]:
    """Return the part of an evaluation that belongs to the model: no paths, curves or single errors."""
    measured = evaluation["model"]
    return {
        "recordings": measured["figures"]["clips"],
        "voices": evaluation["clusters"],
        "policy": measured["policy"],
        "figures": measured["figures"],
        "auc": {window: {"auc": roc["auc"], **(roc["interval"] or {})} for window, roc in measured["roc"].items()},
        "calibration_error": measured["calibration"]["expected_error"],
        "groups": measured["groups"],
    }


def as_markdown(scores: Figures) -> str:
    """Return the table of a model card: one row for all recordings, then one for each engine and language."""
    lines = [_row("", "count", *_RATES), "|---" * (len(_RATES) + 2) + "|"]
    lines += [_row(name, figures["clips"], *_cells(figures)) for name, figures in _named(scores)]
    return "\n".join(lines)


def write_scores(folder: Path, evaluation: Figures) -> str:
    """Write `scores.json`, and the table between the marks of the card. Returns the table.

    Raises ValueError if the card has no marks. Raises DatasetUnusable if a file cannot be written.
    """
    scores = select_scores(evaluation)
    table, card = as_markdown(scores), (folder / CARD).read_text(encoding="utf-8")
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{folder / CARD} needs the lines {BEGIN} and {END}: the table stands between them")
    write_text(folder / SCORES, lambda out: out.write(json.dumps(scores, indent=2) + "\n"))
    write_text(folder / CARD, lambda out: out.write(f"{before}{begin}\n{table}\n{end}{after}"))
    return table


def _named(scores: Figures) -> Iterator[tuple[str, Figures]]:
    yield "all", scores["figures"]
    for column, values in scores["groups"].items():
        for value, figures in values.items():
            yield f"{column}: {value}", figures


def _cells(figures: Figures) -> Iterator[str]:
    human, voicemail = figures["human"], figures["voicemail"]
    rates = (figures["right"], figures["right_of_decided"], figures["undecided"], human["recall"], human["lost"],
             voicemail["recall"], voicemail["lost"])  # fmt: skip
    for rate in rates:
        if rate["share"] is None:
            yield "–"
        elif (rate["low"], rate["high"]) == (0, 1):  # all recordings have one voice
            yield f"{rate['share']:.3f}"
        else:
            yield f"{rate['share']:.3f} ({rate['low']:.3f}–{rate['high']:.3f})"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the figures of an evaluation into a model folder.")
    parser.add_argument("evaluation", type=Path, help="JSON document of amd-service evaluate")
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args(arguments)
    evaluation = json.loads(options.evaluation.read_text(encoding="utf-8"))
    print(write_scores(options.model, evaluation))  # noqa: T201 - output of a command


if __name__ == "__main__":
    run(main)
