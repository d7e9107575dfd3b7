"""Progress of a training on stderr: steps, losses and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from amd_service.lab.training.fitting import METRIC


class TrainingProgress:
    """A progress bar per stage, and warnings. `is_shown`: False for --json, which hides the bars."""

    def __init__(self, *, is_shown: bool) -> None:
        self._console = Console(stderr=True)
        self._is_shown = is_shown and self._console.is_terminal

    def warn(self, text: str) -> None:
        """Print a warning before the long part of the training, so that the user can end it."""
        self._console.print(f"Warning: {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator["Bar"]:
        """Show a bar with `name` until the block ends. `total`: None if the number of steps is not yet known."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._is_shown) as progress:
            task = progress.add_task(name, total=total)
            yield Bar(name, lambda **change: progress.update(task, **change))


class Bar(TrainerCallback):
    """One bar. As a callback of the Trainer it follows the steps and shows the newest losses."""

    def __init__(self, name: str, update: Callable[..., None]) -> None:
        self._name, self._update = name, update
        self._losses: dict[str, float] = {}

    def advance(self) -> None:
        self._update(advance=1)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - Trainer's signature
        self._update(total=state.max_steps, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        names = {"loss": "loss", f"eval_{METRIC}": "held-out loss"}
        self._losses |= {names[key]: float(value) for key, value in (logs or {}).items() if key in names}
        shown = "".join(f"  {name} {value:.3f}" for name, value in self._losses.items())
        self._update(description=self._name + shown)
