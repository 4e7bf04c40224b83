"""Showing how a search goes: a bar on a terminal, a line every so often elsewhere."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from evonas.engine.loop import Progress as SearchProgress

SECONDS_BETWEEN_LINES = 10.0


class ProgressDisplay:
    """An observer of a search; as a context manager it takes its bar away in the end.

    Args:
        console: Console to show it on; a bar is drawn only on a terminal.
        clock: Returns seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bar: Progress | None = None
        self._start: tuple[float, float] | None = None
        self._next_line = -math.inf
        self._last_text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, progress: SearchProgress) -> None:
        """Show where the search stands."""
        now = self._clock()
        if self._start is None:
            self._start = (now, progress.share)
        text = summary(progress, self._seconds_left(progress, now))
        if self._console.is_terminal:
            self._draw(progress.share, text)
        elif now >= self._next_line or progress.state != "running":
            self._next_line = now + SECONDS_BETWEEN_LINES
            if text != self._last_text:
                self.report(text)
            self._last_text = text

    def _draw(self, share: float, text: str) -> None:
        if self._bar is None:
            # A narrow terminal cuts the text, not the bar; redrawing is kept rare because the
            # evaluations may be measuring time.
            columns = (
                BarColumn(8, table_column=Column(no_wrap=True, min_width=8)),
                TextColumn("{task.description}", markup=False),
            )
            self._bar = Progress(*columns, console=self._console, refresh_per_second=2)
            self._bar.add_task(text, total=1.0)
        self._bar.update(self._bar.task_ids[0], completed=share, description=text)
        self._bar.start()

    def _seconds_left(self, progress: SearchProgress, now: float) -> float:
        """Extrapolate from this session alone; infinite when nothing is known yet."""
        start, share = self._start or (now, progress.share)
        done = progress.share - share
        return (now - start) * (1.0 - progress.share) / done if done > 0 else math.inf


def summary(progress: SearchProgress, seconds_left: float = math.inf) -> str:
    """Say where a search stands in a few words, the most wanted first."""
    pruned = progress.pruned / progress.proposed if progress.proposed else 0.0
    parts = [f"{progress.share:.0%}"]
    if progress.state != "running":
        parts.append(progress.state)
    elif math.isfinite(seconds_left):
        left = str(datetime.timedelta(seconds=round(seconds_left)))
        parts.append(f"{left.removeprefix('0:')} left")
    parts += [
        f"{progress.evaluated} evaluated",
        f"hypervolume {progress.hypervolume:.3f}",
        f"front {progress.front_size}",
        f"{pruned:.0%} pruned",
    ]
    if progress.free:
        parts.append(f"{progress.free} free")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)
