import signal
import threading

import pytest

from evonas.errors import UsageError
from evonas.runners.serial import SerialRunner
from evonas.testing.runner import Misbehaving, RunnerSuite, collect, task


class TestSerialRunner(RunnerSuite):
    isolates = False

    def make_runner(self, problem, **options):
        return SerialRunner(problem, **options)


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}]
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options)).removesuffix("s")):
        SerialRunner(Misbehaving(), **options)


def test_it_has_one_worker():
    with pytest.raises(UsageError, match="processes"):
        SerialRunner(Misbehaving(), workers=2)


def test_it_keeps_a_timeout_only_in_the_main_thread():
    caught = []

    def make():
        try:
            SerialRunner(Misbehaving(), timeout=1)
        except UsageError as error:
            caught.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert "processes" in str(caught[0])


def test_it_gives_the_alarm_back():
    def handler(number, frame):
        raise AssertionError("the alarm was not switched off")

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        runner = SerialRunner(Misbehaving(), timeout=30)
        runner.submit([task(1), task(2, "raise")])
        collect(runner, 2)
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, previous)
