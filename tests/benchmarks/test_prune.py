"""The benchmark of surrogates, on a table small enough to know."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks import methods, prune, rounds
from benchmarks.__main__ import bench
from benchmarks.oracle import OracleSurrogate
from benchmarks.tabular import Tabular
from evonas import DataError, UsageError
from evonas.problems.nasbench201 import EDGES, OPERATIONS, network_cost
from evonas.problems.table import TableProblem
from evonas.records import Candidate, Decision, Verdict
from evonas.run.journal import Journal


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Cells over three operations; skips on the first edges are bad for both made-up metrics."""
    rng = np.random.default_rng(0)
    rows = []
    for operations in itertools.product(OPERATIONS[1:4], repeat=len(EDGES)):
        cell = dict(zip(EDGES, operations, strict=True))
        cost = network_cost(cell)
        skips = operations[:3].count("skip_connect")
        accuracy = 60 + 5 * np.log(cost.params / 1e5) - 2 * skips + rng.normal(0, 0.2)
        latency = cost.macs / 1e7 + 2 * skips
        rows.append({**cell, "cifar10": accuracy, "latency_ms.toy": latency})
    path = tmp_path_factory.mktemp("table") / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def tabular(table):
    return Tabular(TableProblem(table, maximise="cifar10", minimise="latency_ms.toy"))


@pytest.mark.parametrize("method", ["plain", "random", "local"])
def test_every_row_is_evaluated_once_and_all_of_them_are_the_true_front(tabular, method):
    order = methods.search(tabular, method, 0, 1000).order
    assert sorted(order) == list(range(3**6))
    curve = tabular.curve(order)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(1.0)


@pytest.fixture
def part(tmp_path):
    """Next to nothing of a space, its path and its genes."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.integers(0, 10, (60, 15)), columns=[f"g{i}" for i in range(15)])
    genes = list(rows.columns)
    rows["ms"], rows["accuracy"] = rows.sum(axis=1), rows["g0"] + rng.normal(0, 1, 60)
    rows.to_csv(tmp_path / "part.csv", index=False)
    return tmp_path / "part.csv", genes


@pytest.mark.parametrize("method", ["plain", "random", "evonas"])
def test_a_part_of_a_space_too_large_to_list_is_a_table_too(part, method):
    path, genes = part
    problem = TableProblem(str(path), genes=genes, maximise="accuracy", minimise="ms")
    order = methods.search(Tabular(problem), method, 0, 100).order
    assert sorted(order) == list(range(60))


def test_a_method_that_comes_across_no_row_has_reached_nothing(part, tmp_path):
    path, genes = part
    (found,) = prune.run(
        path, tmp_path, maximise=["accuracy"], minimise=["ms"], genes=genes, methods=["pymoo"],
        seeds=1, budget=40, report=lambda line: None,
    )  # fmt: skip
    row = found.table.iloc[0]
    assert (row["seeds_reached"], row["needed_at_350"]) == (0, 40)


def test_pymoo_takes_the_values_that_a_range_has_in_the_table(tmp_path):
    rows = pd.DataFrame({"rate": np.arange(120) / 7, "ms": np.arange(120), "gain": np.arange(120)})
    rows.to_csv(tmp_path / "range.csv", index=False)
    problem = TableProblem(
        str(tmp_path / "range.csv"), genes="rate", maximise="gain", minimise="ms"
    )
    order = methods.search(Tabular(problem), "pymoo", 0, 200).order
    assert len(set(order)) == len(order) > 60


@pytest.mark.parametrize("method", ["optuna-nsga2", "optuna-tpe"])
def test_optuna_joins_when_it_is_installed(tabular, method):
    pytest.importorskip("optuna")
    assert len(set(methods.search(tabular, method, 0, 60).order)) == 60


def test_surrogates_need_fewer_evaluations_and_prune_rightly(tabular):
    found = methods.search(tabular, "evonas", 0, 80)
    assert len(set(found.order)) == 80
    assert found.ends == [20, *range(25, 81, 5)]
    plain = methods.search(tabular, "plain", 0, 160)
    assert plain.judged == []
    assert tabular.curve(found.order)[-1] > tabular.curve(plain.order)[-1]
    pruned = [wrong for decision, _, wrong in found.judged if decision == "prune"]
    assert len(pruned) > 80
    assert np.mean(pruned) < 0.05


def test_a_prune_is_wrong_where_no_earlier_design_dominates(tabular, monkeypatch):
    """Every second design of a batch that is pruned, whatever it is, against the definition."""
    ordered = np.random.default_rng(0).permutation(len(tabular.genomes))[:40].tolist()
    verdict = {True: Decision.PRUNE, False: Decision.EVALUATE}
    judged = [
        (Candidate(i, tabular.genomes[row], i // 10), Verdict(verdict[i % 2 == 1], ""))
        for i, row in enumerate(ordered)
    ]
    monkeypatch.setattr(methods.product, "search", lambda *arguments, **settings: None)
    monkeypatch.setattr(methods.Journal, "read", lambda folder: Journal.create(None, {}))
    monkeypatch.setattr(methods.Journal, "candidates", lambda journal: judged)
    found = methods.by_product(tabular, 0, 20, None)
    assert found.order == ordered[::2]
    assert found.ends == [5, 10, 15, 20]
    for row, (decision, before, wrong) in zip(ordered[1::2], found.judged, strict=True):
        earlier = tabular.costs[ordered[: ordered.index(row) // 10 * 10 : 2]]
        no_worse, better = earlier <= tabular.costs[row], earlier < tabular.costs[row]
        assert decision == "prune"
        assert before == ordered.index(row) // 2 + 1
        assert wrong == (not (no_worse.all(axis=1) & better.any(axis=1)).any())


@pytest.mark.parametrize("method", ["pymoo", "msunas"])
def test_others_evaluate_rows_once_and_beat_chance(tabular, method):
    order = methods.search(tabular, method, 0, 200).order
    assert len(set(order)) == 200
    by_chance = methods.search(tabular, "random", 0, 200).order
    assert tabular.curve(order)[-1] > tabular.curve(by_chance)[-1]


OPTIONS = {
    "maximise": ["cifar10"],
    "minimise": ["latency_ms.toy"],
    "genes": list(EDGES),
    "methods": ["random", "evonas"],
    "budget": 40,
}


def test_a_comparison_has_a_row_a_method_and_goes_on_after_an_end(table, tmp_path):
    lines = []
    (found,) = prune.run(Path(table), tmp_path, seeds=1, report=lines.append, **OPTIONS)
    rows = found.table.set_index("method")
    assert list(rows.index) == ["random", "evonas"]
    assert set(rows["maximise"]) == {"cifar10"}
    assert 0 < rows.loc["evonas", "needed_at_350"] <= 40
    (axes,) = found.figure.axes
    assert [line.get_label() for line in axes.lines] == ["plain", "random", "evonas"]

    runs = sorted(tmp_path.glob("prune/*/*.json"))
    assert {path.name.split("-")[0] for path in runs} == {"plain", "random", "evonas"}
    before = {path: path.stat().st_mtime_ns for path in runs}
    (again,) = prune.run(Path(table), tmp_path, seeds=1, report=lines.append, **OPTIONS)
    pd.testing.assert_frame_equal(again.table, found.table)
    assert {path: path.stat().st_mtime_ns for path in runs} == before


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


def test_shuffled_values_stay_in_their_columns():
    frame = pd.DataFrame({"gene": range(50), "up": range(50), "down": range(50)})
    shuffled = prune.shuffle(frame, ["gene"], ["up", "down"])
    assert (shuffled["gene"] == frame["gene"]).all()
    assert sorted(shuffled["up"]) == sorted(shuffled["down"]) == list(range(50))
    assert abs(np.corrcoef(shuffled["up"], shuffled["down"])[0, 1]) < 0.5


def test_renamed_options_are_the_same_designs_under_other_names():
    cells = pd.DataFrame(itertools.product("abc", repeat=2), columns=["first", "second"])
    frame = cells.assign(up=range(9))
    renamed = prune.rename(frame, ["first", "second"], ["up"])
    assert renamed["up"].tolist() == frame["up"].tolist()
    names = dict(zip(frame["first"], renamed["first"], strict=True))
    assert sorted(names.values()) == ["a", "b", "c"]
    assert list(names) != list(names.values())
    assert renamed["second"].tolist() == [names[option] for option in frame["second"]]


def test_a_part_of_a_table_is_every_seventh_design():
    assert list(prune.part(pd.DataFrame({"up": range(15)}), [], ["up"])["up"]) == [0, 7, 14]


def test_what_is_wrong_with_a_changed_table_is_said_of_the_table(table, tmp_path):
    with pytest.raises(UsageError, match="has no column 'cifar9'; did you mean 'cifar10'"):
        prune.run(Path(table), tmp_path, change="renamed", **{**OPTIONS, "maximise": ["cifar9"]})


def test_a_gene_without_a_value_is_named_before_options_are_renamed(table, tmp_path):
    frame = pd.read_csv(table)
    frame.loc[4, "e01"] = None
    frame.to_csv(tmp_path / "gap.csv", index=False)
    with pytest.raises(DataError, match=r"gap\.csv', row 5: gene 'e01' has no value"):
        prune.run(tmp_path / "gap.csv", tmp_path, change="renamed", **OPTIONS)


def test_what_knows_the_table_errs_as_much_as_it_says(tabular):
    surrogate = OracleSurrogate(tabular, seed=0)
    for objective in tabular.problem.objectives:
        name = objective.metric
        truth = np.array([tabular.problem.evaluate(g, [name])[name] for g in tabular.genomes])
        mean, deviation = surrogate.predict(tabular.genomes, [name])[name]
        assert np.corrcoef(mean, truth)[0, 1] > 0.9
        assert 0.99 < np.sqrt(np.mean(((mean - truth) / deviation) ** 2)) < 1.01
        # A design is predicted without itself: the noise of accuracy is left.
        assert name != "cifar10" or np.std(mean - truth) > 0.2


@pytest.mark.parametrize(
    ("audited", "covered"), [((0, 0), 2), ((20, 10), 0)], ids=["no audit", "audits that err"]
)
def test_intervals_are_checked_against_the_truth(audited, covered):
    trials, wrong = audited
    verdicts = [("prune", row < 10) for row in range(1000)]
    verdicts += [("audit", row < wrong) for row in range(trials)]
    rates = prune._wrong_prunes([verdicts] * 2)
    assert rates["wrong_prune_rate"] == 0.01
    assert rates["intervals_with_the_truth"] == covered
    assert prune._wrong_prunes([[]]) == {}
    # A search that pruned nothing beside one that did.
    assert prune._wrong_prunes([verdicts, []])["audits"] == trials


def test_verdicts_count_until_the_batch_ends_in_which_the_bar_is_reached():
    judged = [("prune", 0, False), ("audit", 24, True), ("prune", 25, False)]
    searched = methods.Searched(list(range(30)), [20, 25, 30], judged)
    assert prune._until(searched, 21) == [("prune", False), ("audit", True)]
    assert prune._until(searched, 20) == [("prune", False)]
    assert len(prune._until(searched, None)) == 3


def test_evaluations_are_spared_of_those_that_plain_search_had():
    curves = np.tile(np.linspace(0.01, 1, 100), (2, 1))
    figures = prune._figures(curves, dict.fromkeys(prune.MARKS, 1.0), plain=100)
    assert (figures["needed_at_1000"], figures["spared_at_1000"]) == (100, 0)
    assert prune._figures(curves, dict.fromkeys(prune.MARKS, 0.5), 100)["spared_at_1000"] == 0.5


def test_an_unknown_method_is_named(table, tmp_path):
    with pytest.raises(UsageError, match="unknown method 'evonsa'; did you mean 'evonas'"):
        prune.run(Path(table), tmp_path, methods=["evonsa"])
    with pytest.raises(UsageError, match="unknown change 'shufled'; did you mean 'shuffled'"):
        prune.run(Path(table), tmp_path, change="shufled")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UsageError, match="there is no table"):
        prune.run(tmp_path / "none.csv", tmp_path)


def test_every_round_is_timed_and_those_with_a_plan_apart(table):
    (result,) = rounds.run(Path(table), "cifar10", "latency_ms.toy", list(EDGES), 60, report=str)
    found = result.table
    assert list(found["known"]) == list(range(20, 60, 5))
    assert (found["seconds"] > 0).all()
    # The first ones with at least 19, 24, 30, 38 and 47 designs, powers of 1.25.
    assert list(found["known"][found["plan"]]) == [20, 25, 35, 40, 50]
    assert len(result.figure.axes[0].collections) == 2


def test_a_table_that_the_first_batch_takes_whole_has_no_round(table, tmp_path):
    small = tmp_path / "small.csv"
    pd.read_csv(table).iloc[::60].to_csv(small, index=False)
    with pytest.raises(DataError, match=r"has 13 designs, all in the first batch"):
        rounds.run(small, "cifar10", "latency_ms.toy", list(EDGES), 60, report=str)
