"""The Once-for-All space: which blocks are there, and what they compute."""

import numpy as np
import pandas as pd
import pytest

from evonas import SpaceError
from evonas.errors import DataError
from evonas.problems.once_for_all import DEPTHS, EXPANSIONS, GENES, KERNELS, OnceForAll
from evonas.problems.table import TableProblem


@pytest.fixture
def table(tmp_path):
    """A few networks, drawn at random, with the number of their blocks as latency."""
    rng = np.random.default_rng(0)
    rows = [
        {d: int(rng.integers(2, 5)) for d in DEPTHS}
        | {k: int(rng.choice([3, 5, 7])) for k in KERNELS}
        | {e: int(rng.choice([3, 4, 6])) for e in EXPANSIONS}
        | {"resolution": int(rng.choice([128, 160, 224]))}
        for _ in range(40)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["latency_ms.toy"] = frame[list(DEPTHS)].sum(axis=1)
    path = tmp_path / "networks.csv"
    frame.to_csv(path, index=False)
    return path, frame


def test_genes_of_absent_blocks_make_no_difference(table):
    path, frame = table
    problem = OnceForAll(str(path), minimise="latency_ms.toy")
    genome = frame.loc[0, list(GENES)].to_dict() | {"depth0": 2}
    other = genome | {"kernel03": 10 - genome["kernel03"], "expand02": 3}
    assert problem.canonical(genome) == problem.canonical(other)
    views, same = problem.views([genome]), problem.views([other])
    for name in views:
        np.testing.assert_array_equal(views[name], same[name])


def test_every_row_is_found_by_its_canonical_form(table):
    path, frame = table
    problem = OnceForAll(str(path), minimise="latency_ms.toy")
    for row in frame.to_dict("records"):
        genome = problem.canonical({name: row[name] for name in GENES})
        assert problem.evaluate(genome, ["latency_ms.toy"]) == {
            "latency_ms.toy": row["latency_ms.toy"]
        }


def test_work_counts_blocks_and_multiply_accumulates(table):
    path, frame = table
    problem = OnceForAll(str(path), minimise="latency_ms.toy")
    genomes = frame[list(GENES)].to_dict("records")
    work = problem.views(genomes)["work"]
    np.testing.assert_array_equal(work[:, 0], frame["latency_ms.toy"])
    smallest = (
        dict.fromkeys(DEPTHS, 2) | dict.fromkeys(KERNELS, 3) | dict.fromkeys(EXPANSIONS, 3)
        | {"resolution": 128}
    )  # fmt: skip
    larger = smallest | {"kernel00": 5}
    difference = np.subtract(*(problem.views([g])["work"][0] for g in (larger, smallest)))
    # The first block: 16 channels expanded to 48, from 64 to 32 pixels a side.
    depthwise = 48 * 32**2
    assert {-9.0 * depthwise, 25.0 * depthwise, 1.0, -1.0, 0.0} == set(difference)


@pytest.mark.parametrize("most", [2, 3])
def test_a_table_of_shallow_networks_has_no_genes_of_deeper_ones(table, most):
    path, frame = table
    frame[list(DEPTHS)] = frame[list(DEPTHS)].clip(upper=most)
    frame.to_csv(path, index=False)
    problem = OnceForAll(str(path), minimise="latency_ms.toy")
    lost = {genes[4 * stage + n] for genes in (KERNELS, EXPANSIONS) for stage in range(5)
            for n in range(most, 4)}  # fmt: skip
    assert set(problem.space.names) == set(GENES) - lost
    genomes = frame[list(problem.space.names)].to_dict("records")
    whole = frame[list(GENES)].to_dict("records")
    np.testing.assert_array_equal(problem.features(genomes), problem.features(whole))
    for genome in genomes:
        problem.evaluate(problem.canonical(genome), ["latency_ms.toy"])


def test_blocks_that_are_absent_may_lack_a_kernel(table):
    path, frame = table
    before = OnceForAll(str(path), minimise="latency_ms.toy")
    frame["kernel03"] = frame["kernel03"].where(frame["depth0"] > 3)
    frame["kernel02"] = frame["kernel02"].where(frame["depth0"] > 2, 9)
    frame.to_csv(path, index=False)
    after = OnceForAll(str(path), minimise="latency_ms.toy")
    assert (after.space.genes, after.designs) == (before.space.genes, before.designs)


@pytest.mark.parametrize(
    ("column", "cell", "allowed"), [("depth1", 5, "2, 3, 4"), ("kernel04", 9, "3, 5, 7")]
)
def test_what_is_not_of_the_space_is_named(table, column, cell, allowed):
    path, frame = table
    frame.loc[6, column] = cell
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=f"row 7: '{column}' is {cell}.*must be one of {allowed}"):
        OnceForAll(str(path), minimise="latency_ms.toy")


@pytest.mark.parametrize("gene", ["depth9", "kernel"])
def test_a_condition_on_no_gene_is_refused(table, gene):
    path, _ = table
    with pytest.raises((DataError, SpaceError), match=gene):
        TableProblem(
            str(path),
            genes=["depth0", "kernel02"],
            minimise="latency_ms.toy",
            conditions={"kernel02": {gene: [3, 4]}},
            repeats="mean",
        )
