import numpy as np
import pandas as pd
import pytest

from benchmarks import methods
from benchmarks.tabular import Tabular
from evonas.problems.table import TableProblem
from evonas.records import Candidate, Decision, Verdict
from evonas.run.journal import Journal


@pytest.mark.parametrize("method", ["plain", "random", "local"])
def test_every_row_is_evaluated_once_and_all_of_them_are_the_true_front(tabular, method):
    order = methods.search(tabular, method, 0, 1000).order
    assert sorted(order) == list(range(3**6))
    curve = tabular.curve(order)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["plain", "random", "evonas"])
def test_a_part_of_a_space_too_large_to_list_is_a_table_too(part, method):
    path, genes = part
    problem = TableProblem(str(path), genes=genes, maximise="accuracy", minimise="ms")
    order = methods.search(Tabular(problem), method, 0, 100).order
    assert sorted(order) == list(range(60))


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


def test_pymoo_evaluates_rows_once_and_beats_chance(tabular):
    order = methods.search(tabular, "pymoo", 0, 200).order
    assert len(set(order)) == 200
    by_chance = methods.search(tabular, "random", 0, 200).order
    assert tabular.curve(order)[-1] > tabular.curve(by_chance)[-1]
