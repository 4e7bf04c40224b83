import json

import numpy as np
import onnxruntime
import pytest

from evonas.problems.split_cnn import measure
from evonas.problems.split_cnn.graphs import head_model
from evonas.problems.split_cnn.measure import Stopwatch, reference_ms, session
from evonas.problems.split_cnn.split import Split

REFERENCE_MS, CALL_MS = 0.2, 0.004


class Machine:
    """A clock that only work moves on, and that other processes slow down now and then."""

    def __init__(self, monkeypatch, load):
        self.now, self.load, self.calls = 0.0, load, 0
        monkeypatch.setattr(measure.time, "perf_counter_ns", lambda: round(self.now * 1e6))

    def work(self, ms):
        def call():
            self.calls += 1
            self.now += ms * self.load(self.now)

        return call

    def stopwatch(self, unit=REFERENCE_MS):
        stopwatch = Stopwatch(unit)
        stopwatch._yardsticks = self.work(REFERENCE_MS), self.work(CALL_MS)
        return stopwatch


def quiet(now):
    return 1.0


def bursts_of_load(now):
    """Up to ten times slower, for tens of milliseconds at a time."""
    return 10.0 if int(now) % 80 < 30 else 1.3


@pytest.mark.parametrize("load", [quiet, bursts_of_load])
@pytest.mark.parametrize("times", [[0.05, 1.5], [2.0], [0.0003, 0.6]])
def test_times_are_those_of_a_quiet_machine_whatever_else_runs(monkeypatch, load, times):
    machine = Machine(monkeypatch, load)
    works = [machine.work(CALL_MS + ms) for ms in times]
    found = machine.stopwatch().measure(works, np.random.default_rng(0))
    assert found == pytest.approx(times, rel=1e-3, abs=1e-4)


def test_times_are_in_the_unit_of_the_calibration(monkeypatch):
    machine = Machine(monkeypatch, quiet)
    stopwatch = machine.stopwatch(unit=3 * REFERENCE_MS)
    (found,) = stopwatch.measure([machine.work(CALL_MS + 0.5)], np.random.default_rng(0))
    assert found == pytest.approx(1.5, rel=1e-3)


def test_work_that_does_nothing_takes_no_time(monkeypatch):
    machine = Machine(monkeypatch, quiet)
    works = [machine.work(CALL_MS), machine.work(CALL_MS / 2)]
    assert machine.stopwatch().measure(works, np.random.default_rng(0)) == [0.0, 0.0]


def test_a_slow_network_is_run_a_few_times_only(monkeypatch):
    machine = Machine(monkeypatch, quiet)
    calls = []

    def slow():
        calls.append(machine.now)
        machine.now += 300.0

    machine.stopwatch().measure([slow], np.random.default_rng(0))
    assert len(calls) <= measure.FEWEST_RUNS * measure.FEWEST_BURSTS + 5


def test_a_short_evaluation_stays_within_its_budget(monkeypatch):
    machine = Machine(monkeypatch, quiet)
    works = [machine.work(0.1), machine.work(0.05)]
    machine.stopwatch().measure(works, np.random.default_rng(0))
    assert machine.now < measure.BUDGET_MS + 5


def test_real_models_have_positive_times_and_more_work_takes_longer(subnet, make_subnet, images):
    image = images[:1].numpy()
    small = Split.at(subnet, subnet.last_cut, 32, images)
    large_net = make_subnet(image=(1, 48, 48), channels=(32, 64), depth=4)
    large = Split.at(large_net, large_net.last_cut, 32, images)
    models = [session(head_model(split)) for split in (small, large)]
    inputs = [image, np.zeros((1, 1, 48, 48), np.float32)]
    works = [
        lambda m=m, x=x: m.run(None, {"image": x}) for m, x in zip(models, inputs, strict=True)
    ]
    found = Stopwatch(0.1).measure(works, np.random.default_rng(0))
    # 200 times the multiply-accumulates; the order is safe on any machine.
    assert found[0] < found[1]


def test_a_session_keeps_to_one_thread(subnet, images):
    options = session(head_model(Split.at(subnet, 1, 32, images))).get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def no_room(*arguments, **options):
    raise OSError(28, "No space left on device")


def test_the_reference_is_calibrated_once_for_a_host(tmp_path, monkeypatch):
    found = iter([0.25, 0.5, 0.75])
    monkeypatch.setattr(measure, "_calibrate", lambda: next(found))
    assert [reference_ms(tmp_path / "cache") for _ in range(3)] == [0.25] * 3
    (file,) = (tmp_path / "cache").glob("*.json")
    for damaged in ("", "{", "[]", "null", json.dumps({"reference_ms": "fast"})):
        file.write_text(damaged)
        monkeypatch.setattr(measure, "_calibrate", lambda: 0.5)
        assert reference_ms(tmp_path / "cache") == 0.5
    monkeypatch.setattr(onnxruntime, "__version__", "another")
    monkeypatch.setattr(measure, "_calibrate", lambda: 0.75)
    with monkeypatch.context() as full:
        full.setattr("pathlib.Path.write_text", no_room)
        assert reference_ms(tmp_path / "cache") == 0.75
    assert reference_ms(tmp_path / "cache") == 0.75
    assert len(list((tmp_path / "cache").glob("*.json"))) == 2


def test_calibration_takes_a_quiet_moment(monkeypatch):
    machine = Machine(monkeypatch, bursts_of_load)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: machine.now / 1e3)
    monkeypatch.setattr(measure.time, "sleep", lambda seconds: machine.work(seconds * 1e3)())
    monkeypatch.setattr(measure, "_reference", lambda: machine.work(REFERENCE_MS))
    assert measure._calibrate() == pytest.approx(1.3 * REFERENCE_MS, rel=1e-3)
