"""Tabular benchmarks: all designs are measured, and the true front is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.volume import REFERENCE, curve, scale
from evonas.errors import InfeasibleError
from evonas.pareto import hypervolume, non_dominated
from evonas.problems.nasbench201 import NASBench201
from evonas.problems.table import TableProblem
from evonas.space import FloatArray, Genome, genome_key


class Tabular:
    """A tabular benchmark: finds designs, and scores an order of evaluation.

    Args:
        problem: With two objectives and a complete or partial table.
    """

    def __init__(self, problem: TableProblem) -> None:
        self.problem = problem
        self.genomes: list[Genome] = []
        rows = []
        for genome in problem.designs or problem.space.enumerate():
            try:
                values = problem.evaluate(genome, [])
            except InfeasibleError:
                continue
            self.genomes.append(genome)
            rows.append([o.sign * values[o.metric] for o in problem.objectives])
        self._index = {genome_key(genome): row for row, genome in enumerate(self.genomes)}
        costs = np.array(rows)
        self.costs = scale(costs, costs[non_dominated(costs)])
        """Shape (rows, objectives), the true front's ideal point at 0 and its nadir at 1."""
        self._full = hypervolume(self.costs, np.full(2, REFERENCE))

    def row(self, genome: Genome) -> int | None:
        """Find a design's row; ``None`` when the table does not hold it."""
        return self._index.get(genome_key(genome))

    def curve(self, order: Sequence[int]) -> FloatArray:
        """Share of the true front's hypervolume after every evaluation, shape (evaluations,)."""
        return curve(self.costs[list(order)]) / self._full


def table_problem(table: Path, maximise: str, minimise: str, genes: Sequence[str]) -> TableProblem:
    """Read a table: of NAS-Bench-201 cells, unless gene columns are named.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    if genes:
        return TableProblem(str(table), genes=genes, maximise=maximise, minimise=minimise)
    return NASBench201(str(table), maximise=maximise, minimise=minimise)
