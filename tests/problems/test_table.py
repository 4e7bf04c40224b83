"""Tables of measured designs as problems."""

import itertools

import numpy as np
import pandas as pd
import pytest

import evonas
from evonas import Choice, ConfigError, DataError, Integer, Real
from evonas.problems.table import TableProblem
from evonas.testing import ProblemSuite

ROWS = [
    {"depth": depth, "kernel": kernel, "pool": pool, "accuracy": 50.0 + depth * kernel,
     "latency_ms": 2.5 * depth + kernel**2 + (pool == "max")}
    for depth, kernel, pool in itertools.product((2, 3, 4), (3, 5, 7), ("max", "mean"))
]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(rows, suffix=".csv"):
        path = tmp_path / f"table{suffix}"
        frame = pd.DataFrame(rows)
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
        return str(path)

    return write


class TestPartOfASpace(ProblemSuite):
    @pytest.fixture(autouse=True)
    def _table(self, write):
        self.table = write(ROWS[::4])

    def make_problem(self):
        return TableProblem(self.table, maximise="accuracy", minimise="latency_ms")


class TestTable(ProblemSuite):
    @pytest.fixture(autouse=True)
    def _table(self, write):
        self.table = write(ROWS)

    def make_problem(self):
        return TableProblem(self.table, maximise="accuracy", minimise="latency_ms")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_kinds_are_inferred_and_values_looked_up(write, suffix):
    problem = TableProblem(write(ROWS, suffix), maximise="accuracy", minimise=["latency_ms"])
    assert problem.space.genes == (
        Integer("depth", 2, 4),
        Choice("kernel", [3, 5, 7]),
        Choice("pool", ["max", "mean"]),
    )
    assert [(o.metric, o.goal) for o in problem.objectives] == [
        ("accuracy", "maximise"),
        ("latency_ms", "minimise"),
    ]
    assert problem.metric("latency_ms").unit == "ms"
    for row in ROWS:
        genome = {name: row[name] for name in problem.space.names}
        assert problem.evaluate(genome, ["accuracy"])["accuracy"] == row["accuracy"]
    assert len(problem) == len(ROWS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_many_numbers_is_a_range(write, suffix):
    rows = [
        {"few": n % 100 / 8, "rate": n / 8, "channels": 8 * n, "hash": n * 2**50, "cost": n}
        for n in range(101)
    ]
    table = write(rows, suffix)
    problem = TableProblem(table, minimise="cost", genes="few,rate,channels,hash")
    few, rate, channels, hashed = problem.space.genes
    assert (few.size, hashed.size) == (100, 101)
    assert rate == Real("rate", 0.0, 12.5)
    assert channels == Integer("channels", 0, 800)
    for n, design in enumerate(problem.designs):
        assert problem.evaluate(problem.space.validate(design), [])["cost"] == n
    choice = TableProblem(table, minimise="cost", genes="rate", kinds={"rate": "choice"})
    assert choice.space.genes == (Choice("rate", [row["rate"] for row in rows]),)


def test_kinds_can_be_given(write):
    table = write(ROWS)
    kinds = {"depth": "choice", "kernel": "integer"}
    problem = TableProblem(table, maximise="accuracy", kinds=kinds, genes="depth, kernel,pool")
    assert problem.space.genes[0] == Choice("depth", [2, 3, 4])
    assert problem.space.genes[1] == Integer("kernel", 3, 7)
    # Kernel 4 is a legal gene value that was never measured.
    with pytest.raises(evonas.InfeasibleError, match="does not hold"):
        problem.evaluate({"depth": 2, "kernel": 4, "pool": "max"}, ["accuracy"])


def test_a_search_ends_on_the_front_of_the_table(write):
    table = write(ROWS[:-4])
    problem = TableProblem(
        table, maximise="accuracy", minimise="latency_ms", constraints="latency_ms <= 50"
    )
    run = evonas.search(
        problem, evaluations=100, population=6, surrogate=False, report=lambda line: None
    )
    status = run.status()
    assert status["state"] == "exhausted"
    # Designs that are not in the table are not proposed.
    slow = sum(row["latency_ms"] > 50 for row in ROWS[:-4])
    assert (status["proposed"], status["infeasible"]) == (len(ROWS) - 4, slow)
    allowed = [row for row in ROWS[:-4] if row["latency_ms"] <= 50]
    best = max(allowed, key=lambda row: (row["accuracy"], -row["latency_ms"]))
    assert best["accuracy"] in set(run.front.to_frame()["accuracy"])


LAYERS = {"k2": {"depth": [2, 3, 4]}, "k3": {"depth": [3, 4]}, "k4": {"k3": [5], "depth": [4]}}


def layers(write, rows, suffix=".csv"):
    rows = [{"cost": number, **row} for number, row in enumerate(rows)]
    genes = ["depth", "k2", "k3", "k4"]
    return TableProblem(
        write(rows, suffix), genes=genes, minimise="cost", conditions=LAYERS, repeats="mean"
    )


@pytest.mark.parametrize(
    ("filler", "suffix"),
    [(None, ".csv"), (None, ".parquet"), (99, ".csv"), (99, ".parquet"), ("NA", ".csv")],
)
def test_cells_of_genes_that_are_not_active_do_not_matter(write, filler, suffix):
    problem = layers(
        write,
        [
            {"depth": 2, "k2": 3, "k3": filler, "k4": filler},
            {"depth": 3, "k2": 5, "k3": 3, "k4": filler},
            {"depth": 4, "k2": 3, "k3": 3, "k4": filler},
            {"depth": 4, "k2": 3, "k3": 5, "k4": 1},
            {"depth": 4, "k2": 3, "k3": 5, "k4": 9},
        ],
        suffix,
    )
    assert problem.space.genes == (
        Integer("depth", 2, 4),
        Choice("k2", [3, 5]),  # Active whatever the depth.
        Choice("k3", [3, 5], when={"depth": [3, 4]}),
        Choice("k4", [1, 9], when={"k3": [5], "depth": [4]}),
    )
    assert problem.designs[0] == {"depth": 2, "k2": 3}
    assert [problem.evaluate(design, ["cost"])["cost"] for design in problem.designs] == [*range(5)]


def test_a_gene_without_a_value_where_it_is_active_is_named(write):
    rows = [{"depth": depth, "k2": 3, "k3": k3, "k4": 1} for depth, k3 in ((2, None), (3, None))]
    with pytest.raises(DataError, match="row 2: gene 'k3' has no value"):
        layers(write, rows)


def test_conditions_keep_to_the_values_that_a_table_holds(write):
    two = layers(write, [{"depth": 2, "k2": k, "k3": k, "k4": k} for k in (3, 5)])
    assert two.space.genes == (Choice("depth", [2]), Choice("k2", [3, 5]))
    some = layers(write, [{"depth": d, "k2": 3, "k3": d, "k4": 1} for d in (2, 3)])
    assert some.space.genes[2:] == (Choice("k3", [3], when={"depth": [3]}),)
    deep = layers(write, [{"depth": d, "k2": 3, "k3": k, "k4": 1} for d in (3, 4) for k in (3, 5)])
    assert deep.space.genes[2:] == (
        Choice("k3", [3, 5]),
        Choice("k4", [1], when={"k3": [5], "depth": [4]}),
    )


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("depth", "the condition of gene 'k2' is 'depth'; it must name genes"),
        ({"depth": 3}, "it must name genes and lists of their values"),
        ({"depth": "34"}, "it must name genes and lists of their values"),
        ({"depth": ["3"]}, "the condition of gene 'k2' is wrong: gene 'depth' is '3'; it must be"),
        ({"depth": [True]}, "gene 'depth' is True"),
        ({"pool": [3]}, "gene 'pool' is 3"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(write, condition, message):
    rows = [{"depth": d, "pool": p, "k2": 3, "cost": d} for d in (2, 3) for p in ("max", "mean")]
    options = {"genes": ["depth", "pool", "k2"], "minimise": "cost"}
    with pytest.raises(ConfigError, match=message):
        TableProblem(write(rows), conditions={"k2": condition}, **options)
    assert TableProblem(write(rows), conditions={"k2": None}, **options).space.genes[2].when is None


@pytest.mark.parametrize("surrogate", [None, "default"])
def test_a_table_that_holds_next_to_nothing_of_its_space_is_searched(write, surrogate):
    rng = np.random.default_rng(0)
    rows = [
        {f"g{gene}": int(value) for gene, value in enumerate(rng.integers(0, 10, 12))}
        for _ in range(150)
    ]
    for row in rows:
        row["cost"], row["gain"] = sum(row.values()), row["g0"] + row["g1"]
    genes = [f"g{gene}" for gene in range(12)]
    problem = TableProblem(write(rows), genes=genes, maximise="gain", minimise="cost")
    run = evonas.search(
        problem, evaluations=60, surrogate=surrogate, runner="serial", report=lambda line: None
    )
    assert run.status()["infeasible"] == 0
    best = max(row["gain"] for row in rows)
    assert run.front.to_frame()["gain"].max() >= best - 2


def test_only_a_part_of_a_space_is_listed(write):
    assert TableProblem(write(ROWS), maximise="accuracy", genes="depth,kernel,pool").designs is None
    problem = TableProblem(write(ROWS[3:]), maximise="accuracy", genes="depth,kernel,pool")
    assert problem.designs == [{n: row[n] for n in problem.space.names} for row in ROWS[3:]]


def test_cheap_metrics_are_not_expensive(write):
    problem = TableProblem(
        write(ROWS), maximise="accuracy", minimise="latency_ms", cheap="latency_ms"
    )
    assert [m.expensive for m in problem.metrics] == [True, False]


def test_repeated_designs_are_refused_or_averaged(write):
    table = write([*ROWS, {**ROWS[0], "accuracy": 0.0}])
    with pytest.raises(DataError, match=r"same design in rows 1 and 19; .*repeats to 'mean'"):
        TableProblem(table, maximise="accuracy", genes="depth,kernel,pool")
    problem = TableProblem(table, maximise="accuracy", genes="depth,kernel,pool", repeats="mean")
    genome = {name: ROWS[0][name] for name in problem.space.names}
    assert problem.evaluate(genome, ["accuracy"])["accuracy"] == ROWS[0]["accuracy"] / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": None}, "row 2: metric 'accuracy' is nan; it must be a finite number"),
        ({"accuracy": "good"}, "row 2: metric 'accuracy' is 'good'"),
        ({"accuracy": float("inf")}, "row 2: metric 'accuracy' is inf"),
        ({"pool": None}, "row 2: gene 'pool' has no value; fill it in, or set conditions to say"),
        ({"accuracy": "NA"}, "row 2: metric 'accuracy' is 'NA'; it must be a finite number"),
        ({"kernel": "nan"}, "row 2: gene 'kernel' is 'nan', and a number in other rows"),
    ],
)
def test_bad_cells_are_named(write, change, message):
    rows = [ROWS[0], {**ROWS[1], **change}, *ROWS[2:]]
    with pytest.raises(DataError, match=message):
        TableProblem(write(rows), maximise="accuracy", genes="depth,kernel,pool")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ConfigError, "set maximise or minimise"),
        ({"maximise": "acuracy"}, DataError, "no column 'acuracy'; did you mean 'accuracy'"),
        ({"maximise": "accuracy", "genes": "dept"}, DataError, "no column 'dept'"),
        (
            {"maximise": "accuracy", "kinds": {"dept": "choice"}},
            ConfigError,
            "did you mean 'depth'",
        ),
        ({"maximise": "accuracy", "kinds": {"depth": "real"}}, ConfigError, "choice or integer"),
        ({"maximise": "accuracy", "kinds": {"pool": "integer"}}, DataError, "'pool' is no integer"),
        ({"maximise": "accuracy", "constraints": "latency_ms < 3"}, ConfigError, "cannot be read"),
        ({"maximise": "accuracy", "cheap": "latency_ms"}, ConfigError, "is not a metric"),
        ({"maximise": "accuracy", "repeats": "first"}, ConfigError, "'refuse' or 'mean'"),
        (
            {"maximise": "accuracy", "minimise": ["latency_ms", "depth", "kernel", "pool"]},
            DataError,
            "metric columns only",
        ),
        ({"maximise": "accuracy", "minimise": "accuracy"}, ConfigError, "in maximise and in min"),
        ({"maximise": "accuracy", "kinds": "choice"}, ConfigError, "kinds is 'choice'; it must"),
    ],
)
def test_a_wrong_call_is_one_sentence(write, options, error, message):
    with pytest.raises(error, match=message):
        TableProblem(write(ROWS), **options)


def test_a_column_that_looks_like_a_metric_is_no_gene_unless_it_is_named(write):
    rows = [{"depth": n, "accuracy": n / 3, "energy_mj": n / 7} for n in range(30)]
    with pytest.raises(DataError, match="'energy_mj' holds 30 different numbers"):
        TableProblem(write(rows), maximise="accuracy")
    named = TableProblem(write(rows), maximise="accuracy", genes="depth,energy_mj")
    assert named.space.names == ("depth", "energy_mj")


def test_a_column_of_names_is_no_gene_unless_it_is_named(write):
    rows = [{"name": f"net {n}", "depth": n, "accuracy": n / 3} for n in range(21)]
    with pytest.raises(DataError, match="'name' holds another text in every row"):
        TableProblem(write(rows), maximise="accuracy")
    named = TableProblem(write(rows), maximise="accuracy", genes="name")
    assert named.space.names == ("name",)
    assert TableProblem(write(rows[:20]), maximise="accuracy").space.names == ("name", "depth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([3, 5], r"row 1: 'day' is array\(\[3, 5\]\); the value of a gene must be text, a number"),
        (pd.Timestamp("2026-01-01"), "row 1: 'day' is Timestamp"),
    ],
)
@pytest.mark.parametrize("genes", ["", "day"])
def test_what_no_gene_can_hold_is_named(write, genes, value, message):
    rows = [{"day": value, "accuracy": 1.0}]
    with pytest.raises(DataError, match=message):
        TableProblem(write(rows, ".parquet"), maximise="accuracy", genes=genes)


def test_the_ending_of_a_file_may_be_in_capitals(write, tmp_path):
    (tmp_path / "TABLE.CSV").write_bytes((tmp_path / write(ROWS)).read_bytes())
    assert (
        len(
            TableProblem(
                str(tmp_path / "TABLE.CSV"), maximise="accuracy", genes="depth,kernel,pool"
            )
        )
        == 18
    )


def test_a_run_is_not_resumed_on_a_table_with_other_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"depth": range(30), "accuracy": np.arange(30) / 7, "ms": range(30)})
    rows.to_csv("table.csv", index=False)
    options = {"table": "table.csv", "genes": "depth", "maximise": "accuracy", "minimise": "ms"}
    told = {"reference": "evonas.problems.table:TableProblem", "options": options}
    quiet = {"report": lambda line: None}
    settings = evonas.SearchSettings(evaluations=10, population=10, surrogate=False)
    evonas.search(TableProblem(**options), settings, out="run", **told, **quiet)
    rows.sample(frac=1, random_state=0).to_csv("table.csv", index=False)
    evonas.resume("run", evaluations=15, **quiet)
    rows.assign(ms=rows["ms"] + (rows["depth"] == 3)).to_csv("table.csv", index=False)
    with pytest.raises(evonas.RunError, match="the data of problem 'TableProblem' changed"):
        evonas.resume("run", evaluations=20, **quiet)
    assert len(evonas.Run.open("run").front)


def test_row_numbers_without_a_name_are_no_gene(tmp_path):
    (tmp_path / "numbered.csv").write_text(",depth,accuracy\n0,1,0.5\n1,2,0.7\n")
    problem = TableProblem(str(tmp_path / "numbered.csv"), maximise="accuracy")
    assert problem.space.names == ("depth",)


def test_row_numbers_called_id_are_a_gene_only_if_they_are_named(write):
    table = write([{"id": number, **row} for number, row in enumerate(ROWS)])
    problem = TableProblem(table, maximise="accuracy", minimise="latency_ms")
    assert problem.space.names == ("depth", "kernel", "pool")
    assert TableProblem(table, maximise="accuracy", genes="id").space.names == ("id",)


def test_text_that_reads_like_a_missing_value_is_text(tmp_path):
    file = tmp_path / "words.csv"
    file.write_text("NA,None,pool,accuracy\n1,n/a,None,0.5\n2,null,max,0.7\n")
    problem = TableProblem(str(file), maximise="accuracy")
    assert problem.space.genes == (
        Integer("NA", 1, 2),
        Choice("None", ["n/a", "null"]),
        Choice("pool", ["None", "max"]),
    )
    assert problem.evaluate({"NA": 1, "None": "n/a", "pool": "None"}, []) == {"accuracy": 0.5}


def test_a_metric_with_a_word_for_a_missing_number_is_still_told_from_a_gene(write):
    rows = [{"depth": n, "accuracy": n / 3, "energy_mj": n / 7 or "NA"} for n in range(30)]
    with pytest.raises(DataError, match="'energy_mj' holds 30 different numbers"):
        TableProblem(write(rows), maximise="accuracy")


def test_a_missing_empty_or_unreadable_file(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("depth,accuracy\n")
    (tmp_path / "twice.csv").write_text("a,a,accuracy\n1,2,3\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "noise.parquet").write_bytes(b"this is no parquet file")
    for name, message in (
        ("absent.csv", "there is no table"),
        ("empty.csv", "has no rows"),
        ("header.csv", "has no rows"),
        ("noise.parquet", "cannot be read"),
        ("table.xlsx", "neither .csv nor .parquet"),
        ("folder.csv", "is a folder"),
        ("twice.csv", "two columns 'a'"),
    ):
        with pytest.raises(DataError, match=message):
            TableProblem(str(tmp_path / name), maximise="accuracy")
