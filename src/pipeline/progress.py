"""How a stage tells a person how far it is: one bar per stage in a terminal, silence in a worker.

A stage function receives a `Progress` and calls it; it never prints. `Terminal` draws with rich, `Silent` does
nothing, and `tasks/` adds a third one that writes Prefect progress artifacts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from pipeline.terminal import Console


class Progress(Protocol):
    """What a stage may say while it works."""

    def phase(self, description: str, total: int | None = None) -> None:
        """Begin one part of the stage.

        Args:
            description: A few words, for example ``teacher answers``.
            total: Units of work in this part, or None when the amount is unknown.
        """
        ...

    def advance(self, amount: int = 1) -> None:
        """Report ``amount`` more units of the current part as done."""
        ...

    def note(self, text: str) -> None:
        """Show a short live figure beside the bar, for example ``loss 0.42``."""
        ...


class Silent:
    """A `Progress` that says nothing; for tests and for callers that do not care."""

    def phase(self, description: str, total: int | None = None) -> None:
        """Ignore the part."""

    def advance(self, amount: int = 1) -> None:
        """Ignore the amount."""

    def note(self, text: str) -> None:
        """Ignore the figure."""


class _Bar:
    """One stage's bar inside a `Terminal`."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def phase(self, description: str, total: int | None = None) -> None:
        next(task for task in self._bars.tasks if task.id == self._task).total = total  # update() would ignore None
        self._bars.update(self._task, completed=0, phase=description, note="")

    def advance(self, amount: int = 1) -> None:
        self._bars.advance(self._task, amount)

    def note(self, text: str) -> None:
        self._bars.update(self._task, note=text)


class Terminal:
    """Progress bars of one run: each stage gets a line that stays, with its time, when the stage is over.

    Use as a context manager; `stage` opens the line of one stage.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.fields[mark]}"),
            TextColumn("[bold]{task.description:<14}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[phase]} {task.fields[note]}"),
            console=console,
        )

    def __enter__(self) -> Terminal:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Open the line of stage ``name``; it is ticked off when the block ends without an error."""
        task = self._bars.add_task(name, total=None, phase="", note="", mark="[cyan]•")
        try:
            yield _Bar(self._bars, task)
        except BaseException:
            self._bars.update(task, mark="[red]✗")
            self._bars.stop_task(task)
            raise
        self._bars.update(task, total=1, completed=1, mark="[green]✓", phase="", note="")
        self._bars.stop_task(task)

    def remark(self, text: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(text)


class Quiet:
    """The same surface as `Terminal`, without any output."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Give the stage a `Silent` progress."""
        yield Silent()

    def remark(self, text: str) -> None:
        """Say nothing."""
