"""The benchmark of surrogates, on a table small enough to know."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import prune, rounds
from benchmarks import prune_methods as searches
from benchmarks.informed import Informed
from evonas import DataError, UsageError
from evonas.problems.nasbench201 import EDGES, OPERATIONS, network_cost
from evonas.problems.table import TableProblem


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
def oracle(table):
    return searches.Oracle(TableProblem(table, maximise="cifar10", minimise="latency_ms.toy"))


@pytest.mark.parametrize("method", ["plain", "random", "local"])
def test_every_row_is_evaluated_once_and_all_of_them_are_the_true_front(oracle, method):
    order = list(searches.METHODS[method](oracle, 0))
    assert sorted(order) == list(range(3**6))
    curve = oracle.curve(order)
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
    order = list(searches.METHODS[method](searches.Oracle(problem), 0))
    assert sorted(order) == list(range(60))


def test_a_method_that_comes_across_no_row_has_reached_nothing(part, tmp_path):
    path, genes = part
    found = prune.run(
        path, tmp_path, maximise=["accuracy"], minimise=["ms"], genes=genes, methods=["pymoo"],
        seeds=1, budget=40, report=lambda line: None,
    )  # fmt: skip
    (row,) = found["methods"]["pymoo"]
    assert (row["seeds_reached"], row["needed_at_350"]) == (0, 40)


def test_pymoo_takes_the_values_that_a_range_has_in_the_table(tmp_path):
    rows = pd.DataFrame({"rate": np.arange(120) / 7, "ms": np.arange(120), "gain": np.arange(120)})
    rows.to_csv(tmp_path / "range.csv", index=False)
    problem = TableProblem(
        str(tmp_path / "range.csv"), genes="rate", maximise="gain", minimise="ms"
    )
    order = list(searches.pymoo(searches.Oracle(problem), 0))
    assert len(set(order)) == len(order) > 60


@pytest.mark.parametrize("method", ["optuna-nsga2", "optuna-tpe"])
def test_optuna_joins_when_it_is_installed(oracle, method):
    pytest.importorskip("optuna")
    order = list(itertools.islice(searches.METHODS[method](oracle, 0), 60))
    assert len(set(order)) == 60


def test_surrogates_need_fewer_evaluations_and_prune_rightly(oracle):
    prunes = searches.Prunes()
    order = list(itertools.islice(searches.evonas(oracle, 0, prunes), 80))
    assert len(set(order)) == 80
    assert oracle.curve(order)[-1] > oracle.curve(list(searches.plain(oracle, 0))[:160])[-1]
    assert prunes.pruned > 80
    assert prunes.wrongly_pruned / prunes.pruned < 0.05


@pytest.mark.parametrize("method", ["pymoo", "msunas"])
def test_others_evaluate_rows_once_and_beat_chance(oracle, method):
    order = list(itertools.islice(searches.METHODS[method](oracle, 0), 200))
    assert len(set(order)) == 200
    by_chance = list(itertools.islice(searches.random(oracle, 0), 200))
    assert oracle.curve(order)[-1] > oracle.curve(by_chance)[-1]


OPTIONS = {
    "maximise": ["cifar10"],
    "minimise": ["latency_ms.toy"],
    "genes": list(EDGES),
    "methods": ["random", "evonas"],
    "budget": 40,
}


def test_a_comparison_writes_a_table_and_a_figure_and_goes_on_after_an_end(table, tmp_path):
    lines = []
    found = prune.run(Path(table), tmp_path, seeds=1, report=lines.append, **OPTIONS)
    (pair,) = found["pairs"]
    assert pair["maximise"] == "cifar10"
    assert 0 < pair["needed_at_350"] <= 40
    assert [row["method"] for row in found["methods"]["random"]] == ["random"]
    assert set(pd.read_csv(tmp_path / "prune_genes.csv")["method"]) == {"random", "evonas"}
    assert (tmp_path / "prune_genes.png").read_bytes().startswith(b"\x89PNG")

    runs = sorted(tmp_path.glob("runs/prune/*/*.json"))
    assert {path.name.split("-")[0] for path in runs} == {"plain", "random", "evonas"}
    before = {path: path.stat().st_mtime_ns for path in runs}
    again = prune.run(Path(table), tmp_path, seeds=1, report=lines.append, **OPTIONS)
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in runs} == before


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


def test_a_changed_table_gets_files_of_its_own_name(table, tmp_path):
    options = {**OPTIONS, "methods": ["random"]}
    prune.run(Path(table), tmp_path, seeds=1, change="renamed", report=lambda _: None, **options)
    assert (tmp_path / "prune_genes_renamed.csv").exists()
    with pytest.raises(UsageError, match="has no column 'cifar9'; did you mean 'cifar10'"):
        prune.run(Path(table), tmp_path, change="renamed", **{**options, "maximise": ["cifar9"]})


def test_a_gene_without_a_value_is_named_before_options_are_renamed(table, tmp_path):
    frame = pd.read_csv(table)
    frame.loc[4, "e01"] = None
    frame.to_csv(tmp_path / "gap.csv", index=False)
    with pytest.raises(DataError, match=r"gap\.csv', row 5: gene 'e01' has no value"):
        prune.run(tmp_path / "gap.csv", tmp_path, change="renamed", **OPTIONS)


def test_a_search_that_ended_too_early_for_another_bar_is_carried_out_again(oracle, tmp_path):
    finished = prune.Finished(tmp_path, Path(__file__), {})
    low, _ = finished.search(oracle, "random", 0, 200, stop=0.5)
    high, _ = finished.search(oracle, "random", 0, 200, stop=np.inf)
    assert len(low) == len(high) == 200
    assert low[-1] < high[-1] == oracle.curve(list(searches.random(oracle, 0))[:200])[-1]
    again, _ = finished.search(oracle, "random", 0, 200, stop=0.5)
    assert (again == high).all()


def test_a_search_that_came_to_its_end_is_not_carried_out_again(oracle, tmp_path, monkeypatch):
    calls = []

    def five(oracle, seed):
        calls.append(seed)
        return iter(range(5))

    monkeypatch.setitem(searches.METHODS, "five", five)
    finished = prune.Finished(tmp_path, Path(__file__), {})
    first, _ = finished.search(oracle, "five", 0, 200, stop=np.inf)
    again, _ = finished.search(oracle, "five", 0, 200, stop=np.inf)
    assert calls == [0]
    assert (first == again).all()
    assert len(first) == 200
    assert first[-1] == first[4]


def test_what_knows_the_table_errs_as_much_as_it_says(oracle):
    surrogate = Informed(oracle, seed=0)
    for objective in oracle.problem.objectives:
        name = objective.metric
        truth = np.array([oracle.problem.evaluate(g, [name])[name] for g in oracle.genomes])
        mean, deviation = surrogate.predict(oracle.genomes, [name])[name]
        assert np.corrcoef(mean, truth)[0, 1] > 0.9
        assert 0.99 < np.sqrt(np.mean(((mean - truth) / deviation) ** 2)) < 1.01
        # A design is not told of itself: the noise of accuracy is left.
        assert name != "cifar10" or np.std(mean - truth) > 0.2


@pytest.mark.parametrize(
    ("audited", "covered"), [((0, 0), 2), ((20, 10), 0)], ids=["no audit", "audits that err"]
)
def test_intervals_are_checked_against_the_truth(audited, covered):
    trials, wrong = audited
    prunes = [searches.Prunes(1000, 10, trials, wrong)] * 2
    rates = prune._wrong_prunes(prunes)
    assert rates["wrong_prune_rate"] == 0.01
    assert rates["intervals_with_the_truth"] == covered
    assert prune._wrong_prunes([searches.Prunes()]) == {}
    # A search that pruned nothing beside one that did.
    assert prune._wrong_prunes([prunes[0], searches.Prunes()])["audits"] == trials


def test_evaluations_are_spared_of_those_that_plain_search_had():
    curves = np.tile(np.linspace(0.01, 1, 100), (2, 1))
    figures = prune._figures(curves, dict.fromkeys(prune.MARKS, 1.0), plain=100)
    assert (figures["needed_at_1000"], figures["spared_at_1000"]) == (100, 0)
    assert prune._figures(curves, dict.fromkeys(prune.MARKS, 0.5), 100)["spared_at_1000"] == 0.5


def test_an_unknown_method_is_named(table, tmp_path):
    with pytest.raises(UsageError, match="unknown method 'evonsa'; did you mean 'evonas'"):
        prune.run(Path(table), tmp_path, methods=["evonsa"])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UsageError, match="there is no table"):
        prune.run(tmp_path / "none.csv", tmp_path)


def test_every_round_is_timed_and_those_with_a_plan_apart(table, tmp_path):
    summary = rounds.run(
        Path(table), tmp_path, "cifar10", "latency_ms.toy", list(EDGES), 60, report=str
    )
    found = pd.read_csv(tmp_path / "rounds.csv")
    assert list(found["known"]) == list(range(20, 60, 5))
    assert (found["seconds"] > 0).all()
    # The first ones with at least 19, 24, 30, 38 and 47 designs, powers of 1.25.
    assert list(found["known"][found["plan"]]) == [20, 25, 35, 40, 50]
    assert list(summary["plan"]) == [False, True]
    assert summary["rounds"].sum() == len(found)
    assert (tmp_path / "rounds.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_that_the_opening_takes_whole_has_no_round(table, tmp_path):
    small = tmp_path / "small.csv"
    pd.read_csv(table).iloc[::60].to_csv(small, index=False)
    with pytest.raises(DataError, match=r"has 13 designs, .* more than 20"):
        rounds.run(small, tmp_path, "cifar10", "latency_ms.toy", list(EDGES), 60, report=str)
