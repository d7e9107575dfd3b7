"""Progress bars on stderr, with the time left. Nothing is shown if stderr is not a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bars:
    """Shows one bar after the other. `is_shown`: False for no bar at all, as with --json."""

    def __init__(self, *, is_shown: bool) -> None:
        self._errors = Console(stderr=True)
        self._is_shown = is_shown and self._errors.is_terminal

    @contextmanager
    def show(self, title: str) -> Iterator[tuple[Callable[[int], None], Callable[[], None]]]:
        """Show a bar until the context ends. Yields functions: one for the number of steps, one after each step."""
        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._errors, transient=True, disable=not self._is_shown) as progress:
            task = progress.add_task("", total=None)
            yield lambda count: progress.update(task, total=count), lambda: progress.advance(task)
