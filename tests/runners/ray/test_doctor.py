import json
import math
import textwrap
from dataclasses import replace

import pytest

from evonas.runners.cli.main import main
from evonas.runners.ray.doctor import Diagnosis, NodeReport, _judge, versions

HERE = {"python": "3.11", "evonas": "0.1.0", "numpy": "2.4.6", "onnxruntime": "1.31.1"}
GOOD = NodeReport(
    host="a", versions=HERE, cpus=4.0, gpus=0.0, memory_gb=16.0, shared_gb=8.0,
    round_trip_ms=1.0, transfer_mb_per_s=500.0, onnxruntime_ms=1.5, problem="",
)  # fmt: skip


def judge(*nodes):
    diagnosis = Diagnosis(list(nodes))
    _judge(diagnosis, HERE)
    return diagnosis.errors, diagnosis.warnings


def test_a_good_cluster_has_nothing_to_tell():
    assert judge(GOOD, replace(GOOD, host="b", onnxruntime_ms=2.0)) == ([], [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"versions": HERE | {"numpy": "1.26.0"}}, "numpy==2.4.6"),
        ({"versions": {k: v for k, v in HERE.items() if k != "onnxruntime"}}, "onnxruntime none"),
        ({"problem": "DataError: there is no folder '/data'"}, "no folder '/data'"),
        ({"transfer_mb_per_s": 0.0}, "damaged"),
    ],
)
def test_what_would_break_a_search_is_an_error_that_names_the_node(change, named):
    (error,), warnings = judge(GOOD, replace(GOOD, host="bad", **change))
    assert "bad" in error
    assert named in error
    assert warnings == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"versions": HERE | {"onnxruntime": "1.20.0"}}, "onnxruntime==1.31.1"),
        ({"shared_gb": 0.06}, "--shm-size"),
        ({"onnxruntime_ms": 4.5}, "3.0 times slower"),
    ],
)
def test_what_would_slow_a_search_down_is_a_warning(change, named):
    errors, (warning,) = judge(GOOD, replace(GOOD, host="bad", **change))
    assert errors == []
    assert "bad" in warning
    assert named in warning


def test_a_cluster_without_processors_is_an_error():
    (error,), _ = judge(replace(GOOD, cpus=0.0, onnxruntime_ms=math.nan))
    assert "no node offers processors" in error


def test_versions_are_those_that_are_installed():
    found = versions()
    assert {"python", "evonas", "ray", "numpy", "cloudpickle"} <= set(found)
    assert not set(found.values()) & {"missing", None}


PROBLEM = """
    from evonas import (DataError, Integer, Metric, Objective, Problem, Space)

    class NoData(Problem):
        space = Space(Integer("n", 0, 9))
        metrics = [Metric("value")]
        objectives = [Objective("value")]

        def check_worker(self):
            raise DataError("there is no folder '/data/leaves'")

        def evaluate(self, genome, metrics):
            return {"value": genome["n"]}
"""


@pytest.mark.slow
def test_doctor_looks_at_this_machine_and_says_what_a_problem_misses(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(textwrap.dedent(PROBLEM))
    code = main(["doctor", f"{tmp_path / 'mine.py'}:NoData", "--json", "--verbose"])
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    (error,) = found["errors"]
    assert "no folder '/data/leaves'" in error
    (node,) = found["nodes"]
    assert node["versions"] == versions()
    assert node["cpus"] >= 1
    for name in ("round_trip_ms", "transfer_mb_per_s", "onnxruntime_ms", "memory_gb"):
        assert node[name] > 0


def test_doctor_refuses_an_address_where_nothing_is(capsys):
    assert main(["doctor", "--address", "127.0.0.1:1"]) == 2
    assert "is its head running?" in capsys.readouterr().err
