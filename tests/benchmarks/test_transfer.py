import numpy as np
import pandas as pd
import pytest

from benchmarks import transfer
from evonas.errors import ConfigError, DataError

GENES = list("abcd")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.integers(1, 4, (120, 4)), columns=GENES)
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
    genes.drop_duplicates(GENES).to_csv(path, index=False)
    return path


def run(table, **options):
    """The rows of EvoNAS with the probes that it chose."""
    options = {"genes": GENES, "probes": [8], "draws": 0, "report": lambda _: None, **options}
    (found,) = transfer.run(str(table), **options)
    rows = found.table
    return rows[(rows["method"] == "evonas") & (rows["way"] == "chosen")].reset_index(drop=True)


def test_the_bench_scores_every_method_on_every_target(table):
    (found,) = transfer.run(
        str(table), genes=GENES, targets=["target", "chip_1"], probes=[8], draws=2, report=str
    )
    rows = found.table
    own = rows[(rows["method"] == "evonas") & (rows["way"] == "chosen")]
    assert list(own["target"]) == ["target", "chip_1"]
    # Costs add up, so that a few probes tell all.
    assert (own["spearman"] > 0.98).all()
    assert (own["error"] < 3).all()
    assert own["coverage"].between(0, 1).all()
    assert (own[["fit_s", "choose_s"]] > 0).all(axis=None)
    kinds = set(zip(rows["method"], rows["way"], strict=True))
    assert {("evonas", "random"), ("isotonic", "random"), ("joint", "chosen")} <= kinds
    assert len(rows) == 2 * (5 + 5 + 1)
    assert [axes.get_title() for axes in found.figure.axes] == ["target", "chip_1"]


def test_energy_carries_over_from_latencies(table):
    frame = pd.read_csv(table)
    frame["energy_mj.board_2"] = 3 * frame["latency_ms.target"]
    frame.to_csv(table, index=False)
    found = transfer.load(str(table), genes=GENES, others=["energy_mj.board_2", "target"]).costs
    assert list(found)[-2:] == ["target", "energy_mj.board_2"]
    assert transfer.proxies_of("energy_mj.board_2", list(found), ["energy_mj.board_2"], []) == (
        "chip_1",
        "chip_8",
        "phone",
        "target",
    )
    assert run(table, targets=["energy_mj.board_2"])["spearman"][0] > 0.98


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


def test_a_table_of_another_kind_needs_genes_named(table):
    with pytest.raises(DataError, match="set genes to the columns that describe a design"):
        transfer.load(str(table))


def test_one_proxy_is_enough(table):
    assert len(run(table, targets=["target"], proxies=["board"])) == 1
    views = transfer.load(str(table), genes=GENES).views
    known = np.linspace(1, 2, len(next(iter(views.values()))))[:, None]
    probes = [0, 20, 50]
    found = dict(transfer.simple_predictions(views, known, probes, 3 * known[probes, 0]))
    np.testing.assert_allclose(found["fixed_proxy"], 3 * known[:, 0])


def test_a_gap_of_a_proxy_is_no_harm_and_one_of_a_target_is_named(table):
    path = changed(table, "chip_1", lambda costs: costs.where(costs.index != 4))
    assert transfer.load(path, genes=GENES).costs["chip_1"].isna().sum() == 1
    run(path, targets=["target"])
    with pytest.raises(DataError, match=r"has (\d+) costs on the target 'chip_1' in \d+ rows"):
        run(path, targets=["chip_1"])
    path = changed(table, "chip_1", lambda costs: costs.where(costs.index < 2))
    with pytest.raises(DataError, match=r"has 2 costs on the proxy 'chip_1' .* at least 3"):
        run(path, targets=["target"], proxies=["chip_1"])
    told = []
    run(path, targets=["target"], report=told.append)
    assert told[0] == "left out, as fewer than 3 designs were measured there: chip_1"


def test_a_table_without_a_complete_cost_is_refused(table):
    frame = pd.read_csv(table)
    frame.loc[5, [name for name in frame if name.startswith("latency_ms")]] = None
    frame.to_csv(table, index=False)
    with pytest.raises(DataError, match=r"row 6: 'latency_ms\.chip_1' has no value, and no other"):
        transfer.load(str(table), genes=GENES)


@pytest.mark.parametrize("cell", ["n/m", "NA", 0, -1.5, float("inf")])
def test_a_cost_that_is_none_is_named(table, cell):
    def change(costs):
        return costs.astype(object).where(costs.index != 4, cell)

    words = rf"row 5: 'latency_ms\.chip_1' is '?{cell}'?(\.0)?; it must be a positive number"
    with pytest.raises(DataError, match=words):
        transfer.load(changed(table, "chip_1", change), genes=GENES)


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
            transfer.run(str(table), genes=GENES, **options)
    with pytest.raises(DataError, match="there is no table"):
        transfer.run("missing.csv")
    few = tmp_path / "few.csv"
    for designs, error, words in (
        (5, DataError, "has 5 designs; it needs at least 6"),
        (9, ConfigError, "each must be from 3 to 4, half the designs"),
    ):
        pd.read_csv(table).head(designs).to_csv(few, index=False)
        with pytest.raises(error, match=words):
            transfer.run(str(few), genes=GENES, targets=["target"], probes=[5])
