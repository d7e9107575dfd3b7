"""Output of a replay: a progress bar while it runs, then a table or JSON lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from amd_service.simulator.live_calls import StreamedCall
from amd_service.simulator.outcomes import Outcome
from amd_service.simulator.recorded_calls import load_calls

_SHOWN = ("analysis_state", "label", "reason")


class Progress:
    """A progress bar that counts the calls in `directory` and is shown only on a terminal."""

    def __init__(self, console: Console, directory: Path) -> None:
        columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=len(load_calls(directory)))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, outcome: Outcome) -> None:
        """Count one more ended call, and show its name."""
        self._bar.update(self._task, advance=1, description=outcome.name)


def print_outcomes(outcomes: Sequence[Outcome], *, live_pace: float | None = None, as_json: bool) -> None:
    """Print call, expected row, actual row, confidence and seconds, as JSON lines or as a table with a summary.

    `live_pace`: the calls were streamed this many times faster than real time. The table then shows three columns
    instead of the seconds: the source of the verdict, the seconds from the start of the stream to the verdict, and the
    seconds of audio sent.
    """
    if as_json:
        for outcome in outcomes:
            print(json.dumps(_as_json_object(outcome)))  # noqa: T201 - the command's output
        return
    console = Console(width=None if Console().is_terminal else 120)
    console.print(_table(outcomes, live=live_pace is not None))
    if live_pace is not None:
        console.print(
            f"Streamed at {live_pace:g} times real time. Verdict after: seconds from the start of the stream to the "
            "verdict. Audio sent: seconds of the call that were sent."
        )
    matched = sum(outcome.matched for outcome in outcomes)
    console.print(f"{matched} of {len(outcomes)} calls ended as expected.")


def _as_json_object(outcome: Outcome) -> dict[str, object]:
    return {
        "call": outcome.name,
        "call_sid": outcome.call_sid,
        "expected": dict(outcome.expected),
        "got": {key: outcome.got.get(key) for key in outcome.expected},
        "confidence": outcome.confidence,
        "seconds": round(outcome.seconds, 3),
        "live": None if outcome.stream is None else _live_json_object(outcome, outcome.stream),
        "matched": outcome.matched,
        "note": outcome.note,
    }


def _live_json_object(outcome: Outcome, stream: StreamedCall) -> dict[str, object]:
    return {
        "source": outcome.got.get("verdict_source"),
        "seconds": None if outcome.since_stream_s is None else round(outcome.since_stream_s, 3),
        "audio_seconds": round(stream.audio_s, 2),
        "action": outcome.got.get("action"),
        "action_state": outcome.got.get("action_state"),
    }


def _table(outcomes: Sequence[Outcome], *, live: bool) -> Table:
    last = ("source", "verdict after", "audio sent") if live else ("seconds",)
    table = Table("call", "expected", "got", "confidence", *last, box=None, pad_edge=False)
    for outcome in outcomes:
        table.add_row(
            outcome.name,
            _describe({key: outcome.expected.get(key) for key in _SHOWN}),
            Text(outcome.note or _describe_result(outcome), style="" if outcome.matched else "bold red"),
            "–" if outcome.confidence is None else f"{outcome.confidence:.2f}",
            *(_describe_live(outcome) if live else (f"{outcome.seconds:.2f}",)),
        )
    return table


def _describe_live(outcome: Outcome) -> tuple[str, str, str]:
    fields = (outcome.got.get(key) for key in ("verdict_source", "action", "action_state"))
    source = " ".join(str(each) for each in fields if each is not None) or "–"
    if outcome.stream is None or outcome.since_stream_s is None:
        return source, "–", "–"
    return source, f"{outcome.since_stream_s:.2f} s", f"{outcome.stream.audio_s:.1f} s"


def _describe_result(outcome: Outcome) -> str:
    shown = _describe({key: outcome.got.get(key) for key in _SHOWN}) or "no row"
    hidden = [f"{key}={outcome.got.get(key)}" for key in outcome.mismatches if key not in _SHOWN]
    return " ".join([shown, *hidden])


def _describe(row: dict[str, object]) -> str:
    """Return a text such as `human (confident)` or `failed (media_missing)`. Alternatives are joined by `|`."""
    words = row.get("label") or row.get("analysis_state")
    text = "|".join(map(str, words)) if isinstance(words, list) else str(words or "")
    reason = row.get("reason")
    reasons = "|".join(map(str, reason)) if isinstance(reason, list) else reason
    return f"{text} ({reasons})" if reasons else text
