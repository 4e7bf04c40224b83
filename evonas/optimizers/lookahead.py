"""NSGA-II that looks several generations ahead on a surrogate before it proposes."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from evonas.acquisition.posterior import OPTIMISM, PosteriorModel
from evonas.optimizers.catalogue import Catalogue
from evonas.optimizers.nsga2 import NSGA2, check_population
from evonas.pareto import non_dominated
from evonas.problem import Problem
from evonas.records import Candidate, Evaluation, Status
from evonas.space import Choice, FloatArray, Genome, Integer, Space, genome_key

GENERATIONS = 25
"""Number of generations that it looks ahead."""

POOL = 1000
"""Number of random designs that the initial design is chosen from, besides a Latin hypercube."""

REAL_STEP = 0.05
"""Standard deviation of the step to a neighbour in a real gene, as a share of its range."""


def latin_hypercube(space: Space, n: int, rng: np.random.Generator) -> FloatArray:
    """Draw a Latin hypercube (McKay, Beckman and Conover 1979): genes take values equally often.

    Args:
        space: The space to draw from.
        n: Number of designs to draw.
        rng: Random number generator.

    Returns:
        Encoded vectors of shape (n, number of genes).
    """
    finite = np.array([not np.isinf(gene.size) for gene in space.genes])
    span = space.upper - space.lower
    strata = np.array([rng.permutation(n) for _ in space.genes]).T
    shares = (strata + rng.random(strata.shape)) / n
    values = np.where(finite, np.floor(shares * (span + 1)), shares * span)
    codes: FloatArray = space.lower + np.minimum(values, span)
    return codes


def extremes(space: Space, rng: np.random.Generator) -> FloatArray:
    """Make the design with all genes at their lowest value, and that with all at their highest.

    Choices among numbers are ordered; other choices are drawn at random.

    Args:
        space: The space that is searched.
        rng: Random number generator.

    Returns:
        Encoded vectors of shape (2, number of genes), or (0, number of genes) where no gene is
        ordered.
    """
    codes = space.sample(2, rng)
    ordered = False
    for column, gene in enumerate(space.genes):
        ends = [gene.lower, gene.upper]
        if isinstance(gene, Choice):
            if not gene.numeric:
                continue
            ends = [gene.encode(min(gene.options)), gene.encode(max(gene.options))]
        codes[:, column] = ends
        ordered = True
    return codes if ordered else codes[:0]


def neighbours(space: Space, genomes: Sequence[Genome], rng: np.random.Generator) -> FloatArray:
    """Change one gene of each genome in every way.

    A choice takes every other option, an integer goes one up and one down, and a real gene takes a
    normally distributed step.

    Args:
        space: The space that is searched.
        genomes: Designs, in canonical form.
        rng: Random number generator.

    Returns:
        Encoded vectors of shape (number of neighbours, number of genes).
    """
    codes = space.encode(genomes)
    changed: list[FloatArray] = [np.empty((0, len(space)))]
    for column, gene in enumerate(space.genes):
        own = codes[:, column]
        if isinstance(gene, Choice):
            values = [np.full(len(codes), float(option)) for option in range(len(gene.options))]
        elif isinstance(gene, Integer):
            values = [own - 1, own + 1]
        else:
            values = [own + rng.normal(0.0, REAL_STEP * (gene.upper - gene.lower), len(codes))]
        for value in values:
            others = codes.copy()
            others[:, column] = value
            changed.append(others[(value != own) & (gene.lower <= value) & (value <= gene.upper)])
    return np.vstack(changed)


class LookAhead:
    """An :class:`evonas.protocols.Optimizer` that proposes what NSGA-II would find later.

    The initial design is the extremes of the space, and what the surrogate chooses from a Latin
    hypercube and random designs. Each later ask starts NSGA-II from all evaluations, and runs it
    together with a Pareto local search for some generations in which predictions take the place of
    evaluations. It proposes neighbours of the front, and the designs that this search came across.
    Where there are no more designs than are asked for, it proposes them all. Its state is a count
    and a seed: evaluations reach it through the model.

    Args:
        problem: The problem to search.
        model: Model that predicts designs, and holds what was evaluated.
        population: Number of survivors of every generation.
        seed: Seed of the random number generator.
        initial_designs: Number of designs to begin with.

    Raises:
        UsageError: The population is smaller than 2.
    """

    def __init__(
        self,
        problem: Problem,
        model: PosteriorModel,
        population: int,
        seed: int,
        initial_designs: int,
    ) -> None:
        check_population(population)
        self._problem = problem
        self._model = model
        self._population = population
        self._seed = seed
        self._initial_designs = initial_designs
        self._asks = 0
        self._initial: dict[str, Genome] = {}
        self._catalogue = Catalogue(problem)

    def ask(self, n: int, seen: Container[str]) -> list[Genome]:
        """Propose up to ``n`` unseen canonical genomes; see the protocol."""
        self._asks += 1
        rng = np.random.default_rng([self._seed, self._asks])
        found: dict[str, Genome] = {}
        if self._model.ready and self._catalogue.size <= n:
            self._add(self._catalogue.codes, seen, found)
            return list(found.values())
        if not self._model.ready:
            found = {key: g for key, g in self._initial_design().items() if key not in seen}
            ahead = self._nsga2(rng)
        else:
            front = [evaluation.candidate.genome for evaluation in self._model.front()]
            near = neighbours(self._problem.space, front, rng)
            self._add(rng.permutation(near)[: n // 2], seen, found)
            ahead = self._look_ahead(n, seen, found, rng)
        if len(found) < n:
            for genome in ahead.ask(n - len(found), _Union(seen, found)):
                found[genome_key(genome)] = genome
        return list(found.values())[:n]

    def _initial_design(self) -> dict[str, Genome]:
        """Choose the designs to begin with; the same at every ask."""
        if not self._initial:
            space, rng = self._problem.space, np.random.default_rng([self._seed, 0])
            pool: dict[str, Genome] = {}
            self._add(latin_hypercube(space, self._initial_designs, rng), (), pool)
            self._add(space.sample(POOL, rng), (), pool)
            chosen = self._model.initial_design(list(pool.values()), self._initial_designs)
            self._add(extremes(space, rng), (), self._initial, self._initial_designs)
            for genome in chosen:
                if len(self._initial) < self._initial_designs:
                    self._initial.setdefault(genome_key(genome), genome)
        return self._initial

    def _look_ahead(
        self, n: int, seen: Container[str], found: dict[str, Genome], rng: np.random.Generator
    ) -> NSGA2:
        """Add to ``found`` what NSGA-II and a local search come across on predictions.

        Half of each generation comes from variation, and half are neighbours of the designs with
        the best predictions so far, many of which variation alone would miss.
        """
        ahead = self._nsga2(rng)
        ahead.tell(self._model.evaluations)
        least = self._model.least_costs()
        predicted = self._predict(list(found.values()), least)
        ahead.tell(predicted)
        size = max(self._population, n // GENERATIONS)
        for _ in range(GENERATIONS):
            if len(found) >= n:
                break
            predicted = [predicted[i] for i in non_dominated(self._model.costs(predicted))]
            best = [evaluation.candidate.genome for evaluation in predicted]
            new: dict[str, Genome] = {}
            codes = rng.permutation(neighbours(self._problem.space, best, rng))
            self._add(codes, _Union(seen, found), new, size // 2)
            for genome in ahead.ask(size - len(new), _Union(seen, found | new)):
                new[genome_key(genome)] = genome
            if not new:
                break
            found.update(new)
            latest = self._predict(list(new.values()), least)
            ahead.tell(latest)
            predicted += latest
        return ahead

    def _nsga2(self, rng: np.random.Generator) -> NSGA2:
        seed = int(rng.integers(2**31))
        return NSGA2(self._problem, self._population, seed, (), self._catalogue)

    def _predict(self, genomes: Sequence[Genome], least: FloatArray) -> list[Evaluation]:
        """Make evaluations of optimistic predictions, no cost below the least possible one."""
        posterior = self._model.posterior(genomes)
        values = dict(posterior.means)
        for objective, bound in zip(self._problem.objectives, least, strict=True):
            mean, deviation = (
                posterior.means[objective.metric],
                posterior.deviations[objective.metric],
            )
            costs = np.maximum(objective.sign * mean - OPTIMISM * deviation, bound)
            values[objective.metric] = objective.sign * costs
        return [
            Evaluation(Candidate(0, g, 0), Status.OK, {m: float(v[i]) for m, v in values.items()})
            for i, g in enumerate(genomes)
            if posterior.success[i] > 0.5
        ]

    def _add(
        self,
        codes: FloatArray,
        seen: Container[str],
        found: dict[str, Genome],
        most: float = math.inf,
    ) -> None:
        """Add unseen designs to ``found`` until it holds ``most``."""
        for code in codes:
            if len(found) >= most:
                return
            design = self._catalogue.unseen(code, seen, found)
            if design is not None:
                key, found[key] = design

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Do nothing: evaluations reach it through the model."""

    def state(self) -> dict[str, Any]:
        """Return the seed and the number of asks."""
        return {"seed": self._seed, "asks": self._asks}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken."""
        self._seed, self._asks = state["seed"], state["asks"]
        self._initial = {}


class _Union:
    """Keys that are in one of two containers."""

    def __init__(self, first: Container[str], second: Container[str]) -> None:
        self._first, self._second = first, second

    def __contains__(self, key: object) -> bool:
        return key in self._first or key in self._second
