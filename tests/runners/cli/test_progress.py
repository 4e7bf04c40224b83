import io

import pytest
from rich.console import Console

from evonas.engine.loop import Progress
from evonas.runners.cli.progress import SECONDS_BETWEEN_LINES, ProgressDisplay, summary


def progress(share=0.5, state="running", failed=0):
    return Progress(
        proposed=40, evaluated=30, pruned=10, free=0, failed=failed, front_size=7,
        hypervolume=0.51234, seconds=20.0, share=share, state=state,
    )  # fmt: skip


def test_the_words_name_what_counts():
    text = summary(progress(), seconds_left=75.2)
    for part in (
        "50%",
        "30 evaluated",
        "25% pruned",
        "front 7",
        "hypervolume 0.512",
        "01:15 left",
    ):
        assert part in text
    assert "failed" not in text
    assert "2 failed" in summary(progress(failed=2))
    assert "left" not in summary(progress(state="finished"), seconds_left=1)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_without_a_terminal_there_is_a_line_every_so_often_and_a_last_one(clock):
    out = io.StringIO()
    with ProgressDisplay(Console(file=out, force_terminal=False, width=40), clock) as display:
        for second in range(35):
            clock.now = 100.0 + second
            display.update(progress(share=second / 100))
        for _ in range(2):
            display.update(progress(share=0.35, state="stopped"))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2 + 34 // SECONDS_BETWEEN_LINES
    assert "stopped" in lines[-1]
    assert all("30 evaluated" in line for line in lines)


def test_time_left_is_taken_from_this_session_alone(clock):
    out = io.StringIO()
    display = ProgressDisplay(Console(file=out, force_terminal=False, width=200), clock)
    display.update(progress(share=0.5))
    clock.now += SECONDS_BETWEEN_LINES
    display.update(progress(share=0.6))
    first, second = out.getvalue().splitlines()
    assert "left" not in first
    assert "00:40 left" in second


def test_on_a_terminal_there_is_a_bar_and_reports_stay_above_it(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with ProgressDisplay(console, clock) as display:
        display.update(progress())
        display.report("Stopping [soon].")
        first = out.getvalue()
        display.update(progress(share=1.0, state="finished"))
    assert "50%" in first
    assert "Stopping [soon]." in first
    rest = out.getvalue().removeprefix(first)
    assert "100%" in rest
    assert "finished" in rest
