import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import bench
from evonas.problems.nasbench201 import EDGES


def test_the_command_writes_the_result_and_prints_it(table, tmp_path):
    words = ["prune", "--table", table, "--maximise", "cifar10", "--minimise", "latency_ms.toy"]
    words += ["--genes", ",".join(EDGES), "--methods", "random", "--seeds", "1", "--budget", "40"]
    words += ["--change", "part", "--name", "toy", "--out", str(tmp_path), "--json"]
    found = CliRunner().invoke(bench, words)
    assert found.exit_code == 0, found.output
    (result,) = json.loads(found.stdout)["results"]
    assert result["files"] == [str(tmp_path / "toy.csv"), str(tmp_path / "toy.png")]
    assert result["rows"][0]["method"] == "random"
    assert pd.read_csv(tmp_path / "toy.csv").shape[0] == 1


@pytest.mark.parametrize("command", bench.registered_commands)
def test_every_command_has_an_example_and_prints_json(command):
    name = command.name or command.callback.__name__
    found = CliRunner().invoke(bench, [name, "--help"])
    assert found.exit_code == 0
    assert f"Example: python -m benchmarks {name}" in found.output
    assert "--json" in found.output
