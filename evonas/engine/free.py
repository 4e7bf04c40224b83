"""Free designs: those whose expensive metrics are all known from another design.

Where, say, the error of a network does not depend on its split point, evaluating one split point
tells the error of all others. Such designs are looked at after each evaluation, at no cost.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property
from math import prod

import numpy as np

from evonas.derived import add_derived
from evonas.errors import SpaceError
from evonas.memory import Memory
from evonas.pareto import non_dominated
from evonas.problem import Problem
from evonas.records import Candidate, Evaluation, Status, Task
from evonas.space import FloatArray, Gene, Genome, Real, Value, genome_key

LIMIT = 256
"""Largest number of free designs that are looked at after one evaluation; of more, this many are
drawn at random."""


class FreeDesigns:
    """Finds the free designs that join the front.

    Which designs are free follows from a problem and an evaluation alone, so that a run that is
    resumed finds the same ones. They differ from the evaluated design in discrete genes on which
    none of its expensive metrics depends (:meth:`evonas.Problem.memory_key`).

    Args:
        problem: The problem to search.
        memory: Memory with the cheap metrics that need not be computed again.
    """

    def __init__(self, problem: Problem, memory: Memory) -> None:
        self._problem = problem
        self._memory = memory
        self._expensive = [m.name for m in problem.measured_metrics if m.expensive]
        self._cheap = [m for m in problem.measured_metrics if not m.expensive]
        self._found: list[tuple[Evaluation, Genome]] = []
        self._values: list[dict[str, float] | None] = []
        self._running: dict[int, int] = {}

    @property
    def keys(self) -> list[str]:
        """Keys of the designs that are being looked at."""
        return [genome_key(genome) for _, genome in self._found]

    @property
    def running(self) -> bool:
        """Whether cheap metrics are still being computed."""
        return bool(self._running)

    def around(self, evaluation: Evaluation) -> list[Genome]:
        """List the free designs that share all expensive metrics with an evaluated one.

        Args:
            evaluation: Evaluation whose expensive metrics have values.

        Returns:
            Different canonical genomes, at most :data:`LIMIT`; the evaluated one is left out.
        """
        genome = evaluation.candidate.genome
        genes = self._free_genes(genome)
        if not genes or not all(name in evaluation.values for name in self._expensive):
            return []
        keys = self._keys(genome)
        found: dict[str, Genome] = {}
        for choice in self._choices(genes, evaluation.candidate.id):
            try:
                valid = self._problem.space.validate({**genome, **choice})
                other = self._problem.canonical(valid)
            except SpaceError:  # A gene became active that the evaluated design does not have.
                continue
            if self._keys(other) == keys and self._is_allowed(other):
                found[genome_key(other)] = other
        found.pop(genome_key(genome), None)
        return list(found.values())

    def start(self, evaluations: Iterable[Evaluation], seen: Container[str]) -> list[Task]:
        """Begin to look at the free designs around evaluations, in the order of proposal.

        Args:
            evaluations: Evaluations since the last look.
            seen: Keys of designs to leave out.

        Returns:
            Tasks that a runner must finish first, for cheap metrics that are not in memory. Their
            candidates have negative ids, since most of them will never be a part of the run.
        """
        new: dict[str, tuple[Evaluation, Genome]] = {}
        for evaluation in sorted(evaluations, key=lambda e: e.candidate.id):
            for genome in self.around(evaluation):
                key = genome_key(genome)
                if key not in seen:
                    new.setdefault(key, (evaluation, genome))
        self._found, self._values, tasks = list(new.values()), [], []
        for row, (evaluation, genome) in enumerate(self._found):
            known = {name: v for name, (_, v) in self._memory.recall(genome, self._cheap).items()}
            values = {name: evaluation.values[name] for name in self._expensive} | known
            self._values.append(values)
            missing = tuple(m.name for m in self._cheap if m.name not in known)
            if missing:
                self._running[-1 - row] = row
                tasks.append(Task(Candidate(-1 - row, genome, -1), missing))
        return tasks

    def take(self, evaluation: Evaluation) -> None:
        """Take an evaluation of such a task; if it failed, the design is forgotten."""
        row = self._running.pop(evaluation.candidate.id)
        values = self._values[row]
        if evaluation.status is not Status.OK:
            self._values[row] = None
        elif values is not None:
            values.update(evaluation.values)

    def joining(self, front: FloatArray, first: int, batch: int) -> list[Evaluation]:
        """End the look: return the designs that join the front, as evaluations with a source.

        Args:
            front: Costs of the front's members, shape (members, objectives).
            first: Id of the first design that joins.
            batch: Batch that the designs are recorded with.

        Returns:
            Feasible designs whose costs differ from one another and from those of the front, in
            the order in which their sources were proposed.
        """
        rows = [row for row, values in enumerate(self._values) if values is not None]
        if not rows:
            return []
        values = self._table(rows)
        feasible = np.ones(len(rows), dtype=bool)
        for constraint in self._problem.constraints:
            value = values[constraint.metric]
            feasible &= (constraint.lower <= value) & (value <= constraint.upper)
        feasible &= np.isfinite(np.column_stack(list(values.values()))).all(axis=1)
        costs = np.column_stack([o.sign * values[o.metric] for o in self._problem.objectives])
        own = np.flatnonzero(feasible)
        together = np.vstack([front, costs[own]])
        _, firsts = np.unique(together, axis=0, return_index=True)
        best = np.intersect1d(non_dominated(together), firsts)
        joining = own[best[best >= len(front)] - len(front)]
        found = []
        for number, column in enumerate(joining):
            source, genome = self._found[rows[column]]
            of_design = {name: float(array[column]) for name, array in values.items()}
            candidate = Candidate(first + number, genome, batch)
            found.append(
                Evaluation(
                    candidate,
                    Status.OK,
                    of_design,
                    worker="memory",
                    source=source.candidate.id,
                )
            )
        return found

    def sources(self, evaluation: Evaluation) -> dict[str, int]:
        """Say which values of a free design were measured of another: metric -> its candidate."""
        if evaluation.source is None:
            return {}
        return dict.fromkeys(self._expensive, evaluation.source)

    def _table(self, rows: Sequence[int]) -> Mapping[str, FloatArray]:
        """Values of some designs, derived metrics included; shape (designs,) each."""
        chosen = [self._values[row] or {} for row in rows]
        table = {name: np.array([values[name] for values in chosen]) for name in chosen[0]}
        return add_derived(self._problem, table)

    def _keys(self, genome: Genome) -> list[str]:
        """Keys of what each expensive metric depends on."""
        memory_key = self._problem.memory_key
        return [genome_key(memory_key(name, genome)) for name in self._expensive]

    def _free_genes(self, genome: Genome) -> list[Gene]:
        """Find the discrete genes on which no expensive metric of a design depends."""
        space = self._problem.space
        used: set[str] = set()
        for name in self._expensive:
            used.update(self._problem.memory_key(name, genome))
        # A key that holds anything else than genes may follow from any of them.
        if not self._expensive or not used <= set(space.names):
            return []
        free: dict[str, Gene] = {}
        for gene in space.genes:
            active = gene.name in genome or not gene.when or any(g in free for g in gene.when)
            if active and gene.name not in used and not isinstance(gene, Real):
                free[gene.name] = gene
        return list(free.values())

    def _choices(self, genes: Sequence[Gene], seed: int) -> list[Genome]:
        """List all combinations of the genes' values, or draw as many as are looked at."""
        sizes = [int(gene.size) for gene in genes]
        total = prod(sizes)
        numbers: Sequence[int] = range(total)
        if total > LIMIT:
            numbers = sorted(random.Random(seed).sample(numbers, LIMIT))
        choices: list[Genome] = []
        for number in numbers:
            choice: dict[str, Value] = {}
            for gene, size in zip(reversed(genes), reversed(sizes), strict=True):
                number, index = divmod(number, size)
                choice[gene.name] = gene.decode(gene.lower + index)
            choices.append(choice)
        return choices

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        designs = self._problem.designs
        return None if designs is None else frozenset(map(genome_key, designs))

    def _is_allowed(self, genome: Genome) -> bool:
        return self._listed is None or genome_key(genome) in self._listed
