"""Renders an evaluation as one HTML file that needs no other file and no server."""

import base64
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from amd_service.lab.evaluation.measurement import FIGURE_NAMES, WINDOW_NAMES, Measurement, WorstError
from amd_service.lab.evaluation.plots import plot_calibration, plot_cost, plot_risk, plot_roc
from amd_service.lab.evaluation.run_evaluation import Evaluation
from amd_service.lab.evaluation.synthetic_voices import wav_bytes
from amd_service.lab.evaluation.tables import (
    describe_interval,
    describe_mean,
    intervals_note,
    recommendation_note,
    recommended_lines,
)

# The detector hears about this many milliseconds with the default windows.
PLAYED_MS = 20_000


@dataclass(frozen=True, slots=True)
class Plot:
    """An SVG element with its title and a sentence that explains it."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True, slots=True)
class PlayableError:
    """A wrong verdict. `audio`: data URI, None if the recording does not fit into the report."""

    error: WorstError
    audio: str | None


def render_report(evaluation: Evaluation, *, max_audio_bytes: int) -> str:
    """Return the HTML document. `max_audio_bytes`: size of all recordings in it."""
    templates = Environment(
        loader=PackageLoader("amd_service.lab.evaluation", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(mean=describe_mean)
    return templates.get_template("report.html").render(
        evaluation=evaluation,
        measured=evaluation.model,
        figure_names=FIGURE_NAMES,
        window_names=WINDOW_NAMES,
        intervals_note=intervals_note(evaluation),
        describe_interval=describe_interval,
        plots=_plots(evaluation.model),
        worst=_playable(evaluation.model.worst, max_audio_bytes),
        settings=recommended_lines(evaluation.model.recommendation),
        recommendation_note=recommendation_note(evaluation.model.recommendation),
    )


def _plots(measured: Measurement) -> list[Plot]:
    return [
        Plot(
            "Humans and voicemails told apart (ROC)",
            "Each point is a threshold. A curve through the upper left corner makes no error.",
            plot_roc(measured.roc),
        ),
        Plot(
            "Calibration",
            "On the diagonal, a confidence of 0.9 is right nine times in ten. Numbers: clips in the bin.",
            plot_calibration(measured.calibration),
        ),
        Plot(
            "Risk against coverage",
            "If only the most confident clips got a label, this share of the labels would be wrong.",
            plot_risk(measured.risk_coverage),
        ),
        Plot(
            "Cost by threshold",
            "Solid lines: one threshold varies and the other is the cheapest. Dots: the cheapest pair.",
            plot_cost(measured.recommendation),
        ),
    ]


def _playable(worst: list[WorstError], max_bytes: int) -> list[PlayableError]:
    """Add recordings, the worst errors first, as long as they fit."""
    found = []
    for error in worst:
        audio = None
        if max_bytes > 0:
            heard = base64.b64encode(wav_bytes(error.file.waveform(max_ms=PLAYED_MS))).decode()
            audio = f"data:audio/wav;base64,{heard}" if len(heard) <= max_bytes else None
        max_bytes -= len(audio or "")
        found.append(PlayableError(error, audio))
    return found
