import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import transfer
from evonas.errors import ConfigError, DataError


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.integers(1, 4, (120, 4)), columns=["a", "b", "c", "d"])
    counts = np.array([(genes == value).sum(axis=1) for value in (1, 2, 3)]).T
    devices = {
        "chip_1": [1, 2, 4],
        "chip_8": [1.1, 2, 4],
        "board": [0.5, 3, 3],
        "phone": [2, 3, 7],
        "target": [0.2, 1, 5],
    }
    for name, costs in devices.items():
        genes[f"latency_ms.{name}"] = 1 + counts @ np.array(costs)
    path = tmp_path / "table.csv"
    genes.drop_duplicates(["a", "b", "c", "d"]).to_csv(path, index=False)
    return path


def test_the_bench_scores_every_method_on_every_target(table, tmp_path):
    out = tmp_path / "out"
    result = transfer.run(
        str(table), out, targets=["target", "chip_1"], probes=[8], draws=2, report=lambda _: None
    )
    assert [row["target"] for row in result["targets"]] == ["target", "chip_1"]
    for row in result["targets"]:
        # Costs add up, so that a few probes tell all.
        assert row["probes"] == 8
        assert row["spearman"] > 0.98
        assert row["error"] < 3
        assert 0 <= row["coverage"] <= 1
        assert row["fit_s"] > 0
        assert row["choose_s"] > 0
    assert {"evonas_chosen", "evonas_random", "isotonic_random", "joint_chosen"} <= set(
        result["methods"]
    )
    json.dumps(result, allow_nan=False)
    assert len(pd.read_csv(out / "transfer.csv")) == 2 * (5 + 5 + 1)
    assert (out / "transfer.png").read_bytes().startswith(b"\x89PNG")


def test_energy_carries_over_from_latencies(table, tmp_path):
    frame = pd.read_csv(table)
    frame["energy_mj.board_2"] = 3 * frame["latency_ms.target"]
    frame.to_csv(table, index=False)
    found = transfer.load(str(table), others=["energy_mj.board_2", "target"]).costs
    assert list(found)[-2:] == ["target", "energy_mj.board_2"]
    assert transfer.proxies_of("energy_mj.board_2", list(found), ["energy_mj.board_2"], []) == (
        "chip_1",
        "chip_8",
        "phone",
        "target",
    )
    result = transfer.run(
        str(table),
        tmp_path,
        targets=["energy_mj.board_2"],
        probes=[8],
        draws=0,
        report=lambda _: None,
    )
    assert result["targets"][0]["spearman"] > 0.98


def test_proxies_are_of_another_family_unless_they_are_named():
    devices = ["chip_1", "chip_8", "board", "phone"]
    assert transfer.proxies_of("chip_1", devices, ["chip_1", "board"], []) == ("phone",)
    assert transfer.proxies_of("chip_1", devices, ["chip_1"], ["chip_8", "chip_1"]) == ("chip_8",)


def changed(table, name, change):
    """Write the table with another column in place of one, or of that of the board."""
    frame = pd.read_csv(table)
    column = f"latency_ms.{name}"
    frame[column if column in frame else name] = change(
        frame.get(column, frame["latency_ms.board"])
    )
    frame.to_csv(table, index=False)
    return str(table)


def test_costs_of_whole_numbers_are_no_genes(table):
    before = {name: view.shape for name, view in transfer.load(str(table)).views.items()}
    for name in ("target", "energy_mj.board", "energy_mj.other"):
        path = changed(table, name, lambda costs: costs.round().astype(int))
    found = transfer.load(path, others=["energy_mj.other"])
    assert {name: view.shape for name, view in found.views.items()} == before
    assert found.costs["target"].dtype == found.costs["energy_mj.other"].dtype == float


def test_a_table_whose_columns_are_costs_needs_genes_named(table):
    frame = pd.read_csv(table)
    frame.drop(columns=list("abcd")).to_csv(table, index=False)
    with pytest.raises(DataError, match=r"no column of table .* looks like a gene"):
        transfer.load(str(table))


def test_one_proxy_is_enough(table, tmp_path):
    options = {"targets": ["target"], "proxies": ["board"], "probes": [8], "draws": 0}
    result = transfer.run(str(table), tmp_path, report=lambda _: None, **options)
    views = transfer.load(str(table)).views
    known = np.linspace(1, 2, len(next(iter(views.values()))))[:, None]
    probes = [0, 20, 50]
    found = dict(transfer.simple_predictions(views, known, probes, 3 * known[probes, 0]))
    np.testing.assert_allclose(found["fixed_proxy"], 3 * known[:, 0])
    assert "fixed_proxy_chosen" in result["methods"]


def test_a_gap_of_a_proxy_is_no_harm_and_one_of_a_target_is_named(table, tmp_path):
    path = changed(table, "chip_1", lambda costs: costs.where(costs.index != 4))
    assert transfer.load(path).costs["chip_1"].isna().sum() == 1
    options = {"probes": [8], "draws": 0, "report": lambda _: None}
    transfer.run(path, tmp_path, targets=["target"], **options)
    with pytest.raises(DataError, match=r"has (\d+) costs on the target 'chip_1' in \d+ rows"):
        transfer.run(path, tmp_path, targets=["chip_1"], **options)
    path = changed(table, "chip_1", lambda costs: costs.where(costs.index < 2))
    with pytest.raises(DataError, match=r"has 2 costs on the proxy 'chip_1' .* at least 3"):
        transfer.run(path, tmp_path, targets=["target"], proxies=["chip_1"], **options)
    told = []
    transfer.run(path, tmp_path, targets=["target"], **options | {"report": told.append})
    assert told[0] == "left out, as fewer than 3 designs were measured there: chip_1"


def test_a_table_without_a_complete_cost_is_refused(table):
    frame = pd.read_csv(table)
    frame.loc[5, [name for name in frame if name.startswith("latency_ms")]] = None
    frame.to_csv(table, index=False)
    with pytest.raises(DataError, match=r"row 6: 'latency_ms\.chip_1' has no value, and no other"):
        transfer.load(str(table))


@pytest.mark.parametrize("cell", ["n/m", "NA", 0, -1.5, float("inf")])
def test_a_cost_that_is_none_is_named(table, cell):
    def change(costs):
        return costs.astype(object).where(costs.index != 4, cell)

    words = rf"row 5: 'latency_ms\.chip_1' is '?{cell}'?(\.0)?; it must be a positive number"
    with pytest.raises(DataError, match=words):
        transfer.load(changed(table, "chip_1", change))


def test_where_to_write_is_checked_before_all_else(table, tmp_path):
    for name in ("a/b", "", "a\\b"):
        with pytest.raises(ConfigError, match="it must be that of a file"):
            transfer.run("missing.csv", tmp_path, name=name)
    with pytest.raises(
        ConfigError, match=r"the folder '.*table\.csv/out' cannot be made: Not a dir"
    ):
        transfer.run("missing.csv", table / "out")


def test_scores_of_known_predictions():
    costs = np.array([1.0, 2.0, 4.0, 0.01])
    exact = transfer.score(costs, costs, np.array([True, True, True, False]))
    assert exact == pytest.approx(
        {"spearman": 1, "kendall": 1, "error": 0, "median_error": 0, "coverage": 0.75}
    )
    # The design that costs next to nothing does not count in the mean error.
    half = transfer.score(np.array([1.1, 2.2, 4.4, 1.0]), costs, None)
    assert half["error"] == pytest.approx(10)
    assert half["coverage"] is None


def test_what_is_wrong_is_named(table, tmp_path):
    for options, error, words in (
        ({"targets": ["targte"]}, ConfigError, "did you mean 'target'"),
        ({"targets": ["target"], "probes": [2]}, ConfigError, "from 3"),
        (
            {"targets": ["chip_1"], "proxies": ["chip_1"], "probes": [5]},
            ConfigError,
            "no proxy is left",
        ),
        ({"metric": "energy_mj"}, DataError, "energy_mj.DEVICE"),
    ):
        with pytest.raises(error, match=words):
            transfer.run(str(table), tmp_path, **options)
    with pytest.raises(DataError, match="there is no table"):
        transfer.run("missing.csv", tmp_path)
    few = tmp_path / "few.csv"
    for designs, error, words in (
        (5, DataError, "has 5 designs; it needs at least 6"),
        (9, ConfigError, "each must be from 3 to 4, half the designs"),
    ):
        pd.read_csv(table).head(designs).to_csv(few, index=False)
        with pytest.raises(error, match=words):
            transfer.run(str(few), tmp_path, targets=["target"], probes=[5])
