"""The benchmark of surrogates, on a table small enough to know."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import methods, prune
from evonas import DataError, UsageError
from evonas.problems.nasbench201 import EDGES


def test_a_method_that_comes_across_no_row_has_reached_nothing(part, tmp_path):
    path, genes = part
    (found,) = prune.run(
        path, tmp_path, maximise=["accuracy"], minimise=["ms"], genes=genes, methods=["pymoo"],
        seeds=1, budget=40, report=lambda line: None,
    )  # fmt: skip
    row = found.table.iloc[0]
    assert (row["seeds_reached"], row["needed_at_350"]) == (0, 40)


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
