"""NSGA-II (Deb et al. 2002) through pymoo's ask and tell, over an encoded space of mixed genes.

The population, the mating selection, the survival by rank and crowding and the constraint handling
are pymoo's. The variation operators, the rule that no design is proposed twice and the state as
JSON are made here.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.moo import nsga2 as pymoo_nsga2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination

from evonas.errors import UsageError
from evonas.optimizers.catalogue import Catalogue
from evonas.problem import Problem, objective_costs
from evonas.records import Evaluation
from evonas.space import Choice, FloatArray, Genome, Integer, Real, Space

ENUMERABLE = 100_000
"""Largest number of designs that are listed when mating finds too few unseen ones."""

DRAWS = 50
"""Number of random designs that are drawn for each one wanted before a space is taken for
exhausted."""


def _of_kind(space: Space, kind: type) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([isinstance(gene, kind) for gene in space.genes])


class MixedCrossover(Crossover):  # type: ignore[misc]
    """Two parents, two children, gene by gene.

    Every gene is exchanged with probability 1/2 (uniform crossover, Syswerda 1989); before, real
    genes go through simulated binary crossover (Deb and Agrawal 1995) with probability 1/2.

    Args:
        space: The space that is searched.
        eta: Distribution index of the simulated binary crossover.
    """

    def __init__(self, space: Space, eta: float = 15.0) -> None:
        super().__init__(n_parents=2, n_offsprings=2, prob=0.9)
        self._space = space
        self._real = _of_kind(space, Real)
        self._eta = eta

    def _do(
        self,
        _: object,
        X: FloatArray,
        *__: object,
        random_state: np.random.Generator,
        **___: object,
    ) -> FloatArray:
        first, second = X
        u = random_state.random(first.shape)
        spread = np.where(u <= 0.5, 2 * u, 1 / (2 * (1 - u))) ** (1 / (self._eta + 1))
        blend = (random_state.random(first.shape) < 0.5) & self._real
        middle, half = (first + second) / 2, spread * (second - first) / 2
        near_first = np.where(blend, middle - half, first)
        near_second = np.where(blend, middle + half, second)
        exchange = random_state.random(first.shape) < 0.5
        children = np.array(
            [
                np.where(exchange, near_second, near_first),
                np.where(exchange, near_first, near_second),
            ]
        )
        clipped: FloatArray = np.clip(children, self._space.lower, self._space.upper)
        return clipped


class MixedMutation(Mutation):  # type: ignore[misc]
    """Change each gene with probability 1 / (number of genes), in a way that depends on its kind.

    A choice becomes another option, an integer takes a geometric step up or down, a real gene
    goes through polynomial mutation (Deb and Goyal 1996).

    Args:
        space: The space that is searched.
        eta: Distribution index of the polynomial mutation.
    """

    def __init__(self, space: Space, eta: float = 20.0) -> None:
        super().__init__()
        self._space = space
        self._eta = eta
        self._choice = _of_kind(space, Choice)
        self._integer = _of_kind(space, Integer)

    def _do(
        self,
        _: object,
        X: FloatArray,
        *__: object,
        random_state: np.random.Generator,
        **___: object,
    ) -> FloatArray:
        lower, span = self._space.lower, self._space.upper - self._space.lower
        movable = span > 0
        chosen = (random_state.random(X.shape) < 1 / len(self._space)) & movable
        u = random_state.random(X.shape)
        sign = np.where(random_state.random(X.shape) < 0.5, -1.0, 1.0)

        options = np.where(movable, span, 1.0)
        another = lower + np.mod(X - lower + 1 + np.floor(u * options), options + 1)

        mean_step = 1 + span / 8
        step = sign * (1 + np.floor(np.log1p(-u) / np.log1p(-1 / (mean_step + 1))))
        inside = (lower <= X + step) & (X + step <= lower + span)
        walked = np.clip(X + np.where(inside, step, -step), lower, lower + span)

        delta = np.where(
            u < 0.5,
            (2 * u) ** (1 / (self._eta + 1)) - 1,
            1 - (2 * (1 - u)) ** (1 / (self._eta + 1)),
        )
        nudged = np.clip(X + delta * span, lower, lower + span)

        mutated = np.where(self._choice, another, np.where(self._integer, walked, nudged))
        return np.where(chosen, mutated, X)


class _Unseen(DuplicateElimination):  # type: ignore[misc]
    """Keeps the offspring whose canonical genome was never proposed."""

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__()
        self._catalogue = catalogue
        self.seen: Container[str] = ()
        self.taken: dict[str, Genome] = {}

    def start(self, seen: Container[str]) -> None:
        self.seen, self.taken = seen, {}

    def take(self, codes: FloatArray) -> bool:
        """Remember the design with these codes; False when it is known already."""
        found = self._catalogue.unseen(codes, self.seen, self.taken)
        if found is not None:
            key, self.taken[key] = found
        return found is not None

    def do(self, pop: Population, *_: object, **__: object) -> Population:
        return pop[[self.take(individual.X) for individual in pop]] if len(pop) else pop


def check_population(population: int) -> None:
    """Check that a population can mate.

    Args:
        population: Number of survivors.

    Raises:
        UsageError: The population is smaller than 2.
    """
    if population < 2:
        raise UsageError(f"the population is {population}; NSGA-II needs at least 2")


class NSGA2:
    """NSGA-II as an :class:`evonas.protocols.Optimizer`.

    ``population`` individuals survive; how many offspring a generation has is up to the caller
    of :meth:`ask` (1 is the steady state).

    Args:
        problem: The problem to search.
        population: Number of survivors, at least 2.
        seed: Seed of the random number generator.
        initial: Encoded vectors of the designs to begin with, shape (genes,) each; left out, they
            are drawn at random, as many as survive.
        catalogue: The designs that may be proposed; left out, it is made from the problem.

    Raises:
        UsageError: The population is smaller than 2.
    """

    def __init__(
        self,
        problem: Problem,
        population: int = 40,
        seed: int = 0,
        initial: Sequence[FloatArray] | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        check_population(population)
        space = problem.space
        self._problem = problem
        self._catalogue = catalogue or Catalogue(problem)
        self._unseen = _Unseen(self._catalogue)
        self._algorithm = pymoo_nsga2.NSGA2(
            pop_size=population,
            crossover=MixedCrossover(space),
            mutation=MixedMutation(space),
            eliminate_duplicates=self._unseen,
            output=None,
        )
        # pymoo's constructor replaces a termination that is passed to it with its default.
        self._algorithm.termination = NoTermination()
        self._algorithm.mating.n_max_iterations = 20
        self._algorithm.setup(
            PymooProblem(
                n_var=len(space),
                n_obj=len(problem.objectives),
                n_ieq_constr=len(problem.constraints),
                xl=space.lower,
                xu=space.upper,
            ),
            seed=seed,
        )
        if initial is None:
            initial = list(space.sample(population, self._rng))
        self._initial = list(initial)

    @property
    def _rng(self) -> np.random.Generator:
        rng: np.random.Generator = self._algorithm.random_state
        return rng

    def ask(self, n: int, seen: Container[str]) -> list[Genome]:
        """Propose up to ``n`` unseen canonical genomes; see the protocol."""
        self._unseen.start(seen)
        taken = self._unseen.taken
        while self._initial and len(taken) < n:
            self._unseen.take(self._initial.pop(0))
        if len(taken) < n and self._algorithm.is_initialized:
            self._algorithm.n_offsprings = n - len(taken)
            self._algorithm.ask()
            self._algorithm.termination.force_termination = False
        if len(taken) < n:
            self._fill(n)
        return list(taken.values())[:n]

    def _fill(self, n: int) -> None:
        """Take random unseen designs: from the list of a small space, else by drawing."""
        space, taken = self._problem.space, self._unseen.taken
        if self._catalogue.size > ENUMERABLE:
            draws = space.sample((n - len(taken)) * DRAWS, self._rng)
        else:
            draws = self._rng.permutation(self._catalogue.codes)
        for codes in draws:
            if len(taken) == n:
                return
            self._unseen.take(codes)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Merge evaluated candidates into the population and let the best survive.

        Args:
            evaluations: Evaluations with a finite value for every objective and constraint.
        """
        if evaluations:
            self._algorithm.tell(infills=self._population(evaluations))

    def _population(self, evaluations: Sequence[Evaluation]) -> Population:
        problem, space = self._problem, self._problem.space
        genomes = [e.candidate.genome for e in evaluations]
        codes = space.encode(genomes)
        inactive = np.array([[name not in genome for name in space.names] for genome in genomes])
        if inactive.any():
            # It has no value to inherit; a random one keeps its later activation unbiased.
            codes = np.where(inactive, space.sample(len(genomes), self._rng), codes)
        costs = objective_costs(problem.objectives, evaluations)
        violations = [
            [c.violation(e.values[c.metric]) for c in problem.constraints] for e in evaluations
        ]
        return Population.new(X=codes, F=costs, G=np.array(violations))

    def state(self) -> dict[str, Any]:
        """Return population, rest of the initial design, and random number generator as JSON."""
        algorithm = self._algorithm
        return {
            "generator": self._rng.bit_generator.state,
            # Journals have had this name from the beginning.
            "opening": [codes.tolist() for codes in self._initial],
            "population": [
                {
                    "codes": individual.X.tolist(),
                    "costs": individual.F.tolist(),
                    "violations": individual.G.tolist(),
                    "rank": None if individual.get("rank") is None else int(individual.get("rank")),
                    "crowding": _finite_or_none(individual.get("crowding")),
                }
                for individual in (algorithm.pop if algorithm.is_initialized else ())
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken."""
        self._rng.bit_generator.state = state["generator"]
        self._initial = [np.array(codes) for codes in state["opening"]]
        members = state["population"]
        if not members:
            return
        population = Population.new(
            X=np.array([m["codes"] for m in members]),
            F=np.array([m["costs"] for m in members]),
            G=np.array([m["violations"] for m in members]),
        )
        for individual, member in zip(population, members, strict=True):
            if member["rank"] is not None:
                individual.set("rank", member["rank"])
                crowding = member["crowding"]
                individual.set("crowding", math.inf if crowding is None else crowding)
        self._algorithm.pop = population
        self._algorithm.is_initialized = True
        self._algorithm.n_iter = 1


def _finite_or_none(value: float | None) -> float | None:
    """JSON has no infinity; a boundary point's crowding distance is infinite."""
    return None if value is None or math.isinf(value) else float(value)
