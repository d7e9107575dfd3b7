"""The plots of the report as inline SVG, whose colours are variables of the report's style sheet."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amd_service.lab.evaluation.curves import Calibration, RiskCoverage, Roc
from amd_service.lab.evaluation.measurement import WINDOW_NAMES
from amd_service.lab.evaluation.thresholds import Recommendation

# Matplotlib writes colours as numbers. Each of these numbers stands for a variable of the style sheet.
_VARIABLES = {
    "#010101": "--ink",
    "#020202": "--line",
    "#030303": "--first",
    "#040404": "--second",
    "#050505": "--third",
}
_INK, _LINE, _FIRST, _SECOND, _THIRD = _VARIABLES
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def plot_roc(curves: dict[str, Roc]) -> str:
    """Plot the ROC curve of each window."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
        for (name, roc), colour in zip(curves.items(), (_SECOND, _THIRD, _FIRST), strict=True):
            if roc.auc is not None:
                axes.plot(roc.false_alarms, roc.found, color=colour, label=f"{WINDOW_NAMES[name]} (AUC {roc.auc:.3f})")
        axes.set(xlabel="humans called voicemail", ylabel="voicemails found", aspect="equal")
        axes.legend(loc="lower right")

    return _svg(draw, "roc")


def plot_calibration(calibration: Calibration) -> str:
    """Plot accuracy against confidence, with intervals. The number is the clips in the bin."""

    def draw(axes: Axes) -> None:
        axes.plot([0.5, 1], [0.5, 1], color=_LINE, linewidth=1)
        for each in calibration.bins:
            share, low, high = each.accuracy.share or 0.0, each.accuracy.low or 0.0, each.accuracy.high or 0.0
            axes.plot([each.confidence] * 2, [low, high], color=_FIRST, linewidth=1.5)
            axes.plot([each.confidence], [share], "o", color=_FIRST)
            axes.text(each.confidence, 1.04, f"{each.accuracy.of}", ha="center", fontsize=8)
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0.49, 1.01), ylim=(0, 1.1))

    return _svg(draw, "calibration")


def plot_risk(curve: RiskCoverage) -> str:
    """Plot the share of wrong labels against the share of clips that get a label."""

    def draw(axes: Axes) -> None:
        axes.plot(curve.coverage, curve.risk, color=_FIRST, drawstyle="steps-post")
        axes.set(xlabel="share of clips with a label (coverage)", ylabel="share of those that is wrong (risk)")
        axes.set(xlim=(0, 1), ylim=(0, max([*curve.risk, 0.05]) * 1.1))

    return _svg(draw, "risk")


def plot_cost(found: Recommendation) -> str:
    """Plot the cost per clip against the thresholds. Dots: the present thresholds, and the cheapest ones."""

    def draw(axes: Axes) -> None:
        curve = found.curve
        axes.plot(curve.thresholds, curve.voicemail, color=_FIRST, label="voicemail varies")
        axes.plot(curve.thresholds, curve.human, color=_SECOND, label="human varies")
        axes.plot(curve.thresholds, curve.both, color=_THIRD, label="both equal")
        axes.axhline(found.cost_now.value, color=_INK, linewidth=1, linestyle="--", label="now")
        axes.plot([found.best.voicemail], [found.cost_best], "o", color=_FIRST)
        axes.plot([found.best.human], [found.cost_best], "o", color=_SECOND)
        axes.set(xlabel="minimum confidence", ylabel="cost per clip", xlim=(0.5, 1), ylim=(0, None))
        axes.legend()

    return _svg(draw, "cost")


def _svg(draw: Callable[[Axes], None], name: str) -> str:
    """Return an SVG element. `name` keeps the ids of several plots in one page apart."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, 4), layout="constrained")
        draw(figure.subplots())
        out = StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"', r"\1\2", svg, count=1)
    svg = re.sub(
        r'id="((?:figure|patch|axes|matplotlib|xtick|ytick|line2d|text|legend)_[\d.]+)"', rf'id="{name}-\1"', svg
    )
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
