"""Searches of a table of measured designs: every method gives rows in the order of evaluation.

All count alike: a unique design looked up is one evaluation, looking it up again is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.informed import Informed
from benchmarks.volume import REFERENCE, curve, scale
from evonas.acquisition.gate import EvaluateAll, SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.engine.settings import INITIAL_DESIGNS as OPENING
from evonas.engine.settings import OFFSPRING as BATCH
from evonas.errors import InfeasibleError, UsageError
from evonas.optimizers.lookahead import LookAhead, neighbours
from evonas.optimizers.nsga2 import NSGA2
from evonas.pareto import hypervolume, non_dominated
from evonas.problems.nasbench201 import NASBench201
from evonas.problems.table import TableProblem
from evonas.protocols import Gate, Optimizer, Surrogate
from evonas.records import Candidate, Decision, Evaluation, Status
from evonas.space import FloatArray, Genome, genome_key
from evonas.surrogates.encoding import space_features
from evonas.surrogates.metric_models import MetricModels
from evonas.surrogates.trees import Trees

POPULATION = 40

PATIENCE = 100
"""How often in a row a method may propose nothing but what it knows before it is at its end."""

Order = Iterator[int]
"""Rows of a table in the order of evaluation, each once."""


class Oracle:
    """A table whose truth is known: looks designs up and scores an order of evaluation.

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
        self.index = {genome_key(genome): row for row, genome in enumerate(self.genomes)}
        costs = np.array(rows)
        self.costs = scale(costs, costs[non_dominated(costs)])
        self._full = hypervolume(self.costs, np.full(2, REFERENCE))

    def curve(self, order: Sequence[int]) -> FloatArray:
        """Share of the true front's hypervolume after every evaluation, shape (evaluations,)."""
        return curve(self.costs[list(order)]) / self._full

    def row(self, genome: Genome) -> int | None:
        """Find a design's row; ``None`` when the table does not hold it."""
        return self.index.get(genome_key(genome))

    def evaluation(self, row: int, number: int) -> Evaluation:
        """Look a row up."""
        genome = self.genomes[row]
        return Evaluation(
            Candidate(number, genome, number), Status.OK, self.problem.evaluate(genome, [])
        )


@dataclass
class Prunes:
    """What a gate pruned and audited: how often in all, and how often it was wrong."""

    pruned: int = 0
    wrongly_pruned: int = 0
    audited: int = 0
    wrongly_audited: int = 0


def table_problem(table: Path, maximise: str, minimise: str, genes: Sequence[str]) -> TableProblem:
    """Read a table: of NAS-Bench-201 cells, unless gene columns are named.

    Raises:
        DataError: The table cannot be read or lacks a column.
    """
    if genes:
        return TableProblem(str(table), genes=genes, maximise=maximise, minimise=minimise)
    return NASBench201(str(table), maximise=maximise, minimise=minimise)


def _search(
    oracle: Oracle,
    optimizer: Optimizer,
    gate: Gate,
    sizes: tuple[int, int],
    prunes: Prunes | None = None,
) -> Order:
    """Follow the loop of :class:`evonas.engine.loop.Search` on a table."""
    seen: set[str] = set()
    pruned: set[str] = set()
    done: list[int] = []
    prunes = prunes or Prunes()
    while True:
        wanted = sizes[1] if done else sizes[0]
        asked = optimizer.ask(wanted * gate.proposals_per_evaluation, seen)
        genomes = [genome for genome in asked if oracle.row(genome) is not None]
        # What the table does not hold costs nothing here, and is not proposed again.
        seen.update(genome_key(genome) for genome in asked if oracle.row(genome) is None)
        if not asked:
            return
        told, before = [], oracle.costs[done]
        for genome, verdict in zip(genomes, gate.judge(genomes, wanted), strict=True):
            key = genome_key(genome)
            if verdict is None:
                continue
            row = oracle.index[key]
            wrong = int(not _dominated(oracle.costs[row], before))
            if verdict.decision is Decision.PRUNE:
                if key not in pruned:
                    prunes.pruned += 1
                    prunes.wrongly_pruned += wrong
                pruned.add(key)
                continue
            if verdict.decision is Decision.AUDIT:
                prunes.audited += 1
                prunes.wrongly_audited += wrong
            seen.add(key)
            done.append(row)
            told.append(oracle.evaluation(row, len(done)))
            yield row
        gate.observe(told)
        optimizer.tell(told)


def _dominated(cost: FloatArray, others: FloatArray) -> bool:
    return bool(((others <= cost).all(axis=1) & (others < cost).any(axis=1)).any())


def plain(oracle: Oracle, seed: int) -> Order:
    """NSGA-II of EvoNAS."""
    optimizer = NSGA2(oracle.problem, POPULATION, seed)
    return _search(oracle, optimizer, EvaluateAll(), (POPULATION, POPULATION))


def evonas(
    oracle: Oracle, seed: int, prunes: Prunes | None = None, surrogate: Surrogate | None = None
) -> Order:
    """EvoNAS with its surrogates, or with another one."""
    model = PosteriorModel(oracle.problem, surrogate or MetricModels(oracle.problem))
    gate = SurrogateGate(oracle.problem, model, seed=seed)
    ahead = LookAhead(oracle.problem, model, POPULATION, seed, OPENING)
    return _search(oracle, ahead, gate, (OPENING, BATCH), prunes)


def random(oracle: Oracle, seed: int) -> Order:
    """Without replacement."""
    return iter(np.random.default_rng(seed).permutation(len(oracle.genomes)).tolist())


def local(oracle: Oracle, seed: int) -> Order:
    """Pareto local search: evaluate the unseen neighbours of the current front."""
    rng = np.random.default_rng(seed)
    space, done = oracle.problem.space, rng.permutation(len(oracle.genomes))[:20].tolist()
    yield from done
    seen = set(done)
    while len(seen) < len(oracle.genomes):
        front = [oracle.genomes[done[i]] for i in non_dominated(oracle.costs[done])]
        known = (oracle.row(space.decode(code)) for code in neighbours(space, front, rng))
        rows = sorted({row for row in known if row is not None} - seen)
        # With the whole neighbourhood seen, a random design goes on.
        rows = rows or sorted(set(range(len(oracle.genomes))) - seen)
        row = int(rng.choice(rows))
        seen.add(row)
        done.append(row)
        yield row


def msunas(oracle: Oracle, seed: int) -> Order:
    """A surrogate search in the manner of MSuNAS and NSGANetV2 (Lu et al. 2020 and 2021).

    It begins with 100 random designs. Each iteration fits a model an objective (XGBoost on the
    genes) to all that is known, runs NSGA-II on the models from the best designs known, and
    evaluates 8 members of the predicted front, spread along its first objective.
    """
    opening, iteration, generations = 100, 8, 20
    problem, rng = oracle.problem, np.random.default_rng(seed)
    done = rng.permutation(len(oracle.genomes))[:opening].tolist()
    yield from done
    while len(done) < len(oracle.genomes):
        genomes = [oracle.genomes[row] for row in done]
        costs = oracle.costs[done]
        models = [Trees(seed=seed) for _ in costs.T]
        for model, column in zip(models, costs.T, strict=True):
            model.fit(space_features(problem.space, genomes), column)
        inner = NSGA2(problem, POPULATION, int(rng.integers(2**31)), initial=())
        inner.tell([oracle.evaluation(row, row) for row in done])
        seen = {genome_key(genome) for genome in genomes}
        found: dict[int, FloatArray] = {}
        for _ in range(generations):
            asked = inner.ask(POPULATION, seen)
            if not asked:
                break
            features = space_features(problem.space, asked)
            predicted = np.column_stack([model.predict(features) for model in models])
            seen.update(genome_key(genome) for genome in asked)
            rows = [oracle.row(genome) for genome in asked]
            found |= {r: p for r, p in zip(rows, predicted, strict=True) if r is not None}
            inner.tell([_hoped(oracle, g, p) for g, p in zip(asked, predicted, strict=True)])
        new = _spread(found, costs, iteration)
        if not new:
            rest = sorted(set(range(len(oracle.genomes))) - set(done))
            new = rng.permutation(rest)[:iteration].tolist()
        done += new
        yield from new


def _hoped(oracle: Oracle, genome: Genome, costs: FloatArray) -> Evaluation:
    objectives = oracle.problem.objectives
    values = {o.metric: o.sign * float(c) for o, c in zip(objectives, costs, strict=True)}
    return Evaluation(Candidate(0, genome, 0), Status.OK, values)


def _spread(found: dict[int, FloatArray], known: FloatArray, n: int) -> list[int]:
    """Choose of the best predicted rows those that fill the gaps in the first objective."""
    rows = list(found)
    chosen: list[int] = []
    taken = known[non_dominated(known), 0]
    while rows and len(chosen) < n:
        predicted = np.array([found[row] for row in rows])
        front = non_dominated(predicted)
        gaps = np.abs(predicted[front, :1] - taken).min(axis=1)
        row = rows[int(front[int(gaps.argmax())])]
        taken = np.append(taken, found[row][0])
        chosen.append(row)
        rows.remove(row)
    return chosen


def pymoo(oracle: Oracle, seed: int) -> Order:
    """NSGA-II of pymoo with its usual operators for integers (SBX, polynomial mutation)."""
    from pymoo.algorithms.moo import nsga2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    space = oracle.problem.space
    algorithm = nsga2.NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(vtype=float, repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
        output=None,
    )
    algorithm.termination = NoTermination()
    codes = space.encode(oracle.genomes)
    options = [np.unique(column) for column in codes.T]
    last = [len(values) - 1 for values in options]
    design = PymooProblem(len(space), n_obj=2, xl=[0] * len(space), xu=last, vtype=int)
    algorithm.setup(design, seed=seed)
    worst = oracle.costs.max(axis=0) + 1
    seen: set[int] = set()
    idle = 0
    while len(seen) < len(oracle.genomes) and idle < PATIENCE:
        asked = algorithm.ask()
        if asked is None or len(asked) == 0:
            return
        columns = [values[x] for values, x in zip(options, asked.get("X").T, strict=True)]
        rows = [oracle.row(space.decode(code)) for code in np.column_stack(columns)]
        asked.set("F", np.array([worst if row is None else oracle.costs[row] for row in rows]))
        algorithm.tell(infills=asked)
        new = list(dict.fromkeys(row for row in rows if row is not None and row not in seen))
        idle = 0 if new else idle + 1
        seen.update(new)
        yield from new


def optuna(oracle: Oracle, seed: int, sampler: str) -> Order:
    """A sampler of Optuna, with its defaults.

    TPE proposes the designs that it thinks best again and again, and takes the longer for each the
    more it has proposed.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna as library
    except ImportError:
        raise UsageError(
            "the methods 'optuna-nsga2' and 'optuna-tpe' need Optuna; pip install 'evonas[bench]'"
        ) from None
    library.logging.set_verbosity(library.logging.ERROR)
    samplers: dict[str, Callable[..., Any]] = {
        "nsga2": library.samplers.NSGAIISampler,
        "tpe": library.samplers.TPESampler,
    }
    study = library.create_study(directions=["minimize"] * 2, sampler=samplers[sampler](seed=seed))
    codes = oracle.problem.space.encode(oracle.genomes)
    options = [np.unique(column).tolist() for column in codes.T]
    proposed: set[str] = set()
    found = idle = 0
    while found < len(oracle.genomes) and idle < PATIENCE:
        trial = study.ask()
        code = [trial.suggest_categorical(str(i), values) for i, values in enumerate(options)]
        genome = oracle.problem.space.decode(np.array(code))
        key, row = genome_key(genome), oracle.row(genome)
        idle = idle + 1 if key in proposed else 0
        if row is None:
            study.tell(trial, state=library.trial.TrialState.FAIL)
        else:
            study.tell(trial, oracle.costs[row].tolist())
            if key not in proposed:
                found += 1
                yield row
        proposed.add(key)


def informed(oracle: Oracle, seed: int) -> Order:
    """EvoNAS with a surrogate that has seen most of the table: what a better one could gain."""
    return evonas(oracle, seed, surrogate=Informed(oracle, seed))


METHODS: dict[str, Callable[[Oracle, int], Order]] = {
    "evonas": evonas,
    "plain": plain,
    "pymoo": pymoo,
    "random": random,
    "local": local,
    "msunas": msunas,
    "optuna-nsga2": lambda oracle, seed: optuna(oracle, seed, "nsga2"),
    "optuna-tpe": lambda oracle, seed: optuna(oracle, seed, "tpe"),
    "informed": informed,
}


def available() -> list[str]:
    """Name the methods that one could use and whose libraries are installed."""
    found = find_spec("optuna") is not None
    names = [name for name in METHODS if name != "informed"]
    return [name for name in names if found or not name.startswith("optuna")]
