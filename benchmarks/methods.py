"""Ways to search a table of measured designs: EvoNAS, plain NSGA-II, and others beside them.

All count alike: a unique design looked up is one evaluation, looking it up again is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pymoo.util.dominator import Dominator

from benchmarks import product
from benchmarks.oracle import OracleSurrogate
from benchmarks.tabular import Tabular
from evonas.errors import UsageError
from evonas.optimizers.lookahead import neighbours
from evonas.pareto import non_dominated
from evonas.problem import Problem
from evonas.protocols import Surrogate
from evonas.records import Decision
from evonas.run.journal import Journal
from evonas.space import genome_key

POPULATION = 40

PATIENCE = 100
"""How often in a row a method may propose nothing but what it knows before it is at its end."""

Rows = Iterator[int]
"""Rows of a table in the order of evaluation, each once."""


@dataclass(frozen=True)
class Searched:
    """The course of a search.

    Args:
        order: Rows of the table in the order of proposal, each once.
        ends: How many of them had been evaluated after every batch.
        judged: For each design that was pruned or audited: the decision, how many evaluations were
            proposed before it, and whether a prune is wrong, as no design of earlier batches
            dominates it.
    """

    order: list[int]
    ends: list[int] = field(default_factory=list)
    judged: list[tuple[str, int, bool]] = field(default_factory=list)


def by_product(
    tabular: Tabular,
    seed: int,
    budget: int,
    surrogate: str | Callable[[Problem], Surrogate] | None,
) -> Searched:
    """Search with EvoNAS, or with its NSGA-II alone where there is no surrogate."""
    with TemporaryDirectory() as folder:
        product.search(
            tabular.problem,
            Path(folder),
            evaluations=budget,
            seed=seed,
            population=POPULATION,
            surrogate=surrogate,
            runner="serial",
        )
        with Journal.read(Path(folder)) as journal:
            candidates = journal.candidates()
    found = Searched([])
    for _, batch in groupby(candidates, key=lambda one: one[0].batch):
        together = list(batch)
        rows = np.array([tabular.row(candidate.genome) for candidate, _ in together])
        before = tabular.costs[np.array(found.order, dtype=int)]
        front = before[non_dominated(before)]
        relation = Dominator.calc_domination_matrix(tabular.costs[rows], front)
        for row, wrong, (_, verdict) in zip(
            rows, (relation >= 0).all(axis=1), together, strict=True
        ):
            if verdict.decision is not Decision.EVALUATE:
                found.judged.append((verdict.decision.value, len(found.order), bool(wrong)))
            if verdict.decision is not Decision.PRUNE:
                found.order.append(int(row))
        found.ends.append(len(found.order))
    return found


def random(tabular: Tabular, seed: int) -> Rows:
    """Draw without replacement."""
    return iter(np.random.default_rng(seed).permutation(len(tabular.genomes)).tolist())


def local(tabular: Tabular, seed: int) -> Rows:
    """Pareto local search: evaluate the unseen neighbours of the current front."""
    rng = np.random.default_rng(seed)
    space, done = tabular.problem.space, rng.permutation(len(tabular.genomes))[:20].tolist()
    yield from done
    seen = set(done)
    while len(seen) < len(tabular.genomes):
        front = [tabular.genomes[done[i]] for i in non_dominated(tabular.costs[done])]
        known = (tabular.row(space.decode(code)) for code in neighbours(space, front, rng))
        rows = sorted({row for row in known if row is not None} - seen)
        # With the whole neighbourhood seen, a random design goes on.
        rows = rows or sorted(set(range(len(tabular.genomes))) - seen)
        row = int(rng.choice(rows))
        seen.add(row)
        done.append(row)
        yield row


def pymoo(tabular: Tabular, seed: int) -> Rows:
    """NSGA-II of pymoo with its usual operators for integers (SBX, polynomial mutation)."""
    from pymoo.algorithms.moo import nsga2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    space = tabular.problem.space
    algorithm = nsga2.NSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=SBX(vtype=float, repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
        output=None,
    )
    algorithm.termination = NoTermination()
    codes = space.encode(tabular.genomes)
    options = [np.unique(column) for column in codes.T]
    last = [len(values) - 1 for values in options]
    design = PymooProblem(len(space), n_obj=2, xl=[0] * len(space), xu=last, vtype=int)
    algorithm.setup(design, seed=seed)
    worst = tabular.costs.max(axis=0) + 1
    seen: set[int] = set()
    idle = 0
    while len(seen) < len(tabular.genomes) and idle < PATIENCE:
        asked = algorithm.ask()
        if asked is None or len(asked) == 0:
            return
        columns = [values[x] for values, x in zip(options, asked.get("X").T, strict=True)]
        rows = [tabular.row(space.decode(code)) for code in np.column_stack(columns)]
        asked.set("F", np.array([worst if row is None else tabular.costs[row] for row in rows]))
        algorithm.tell(infills=asked)
        new = list(dict.fromkeys(row for row in rows if row is not None and row not in seen))
        idle = 0 if new else idle + 1
        seen.update(new)
        yield from new


def optuna(tabular: Tabular, seed: int, sampler: str) -> Rows:
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
    codes = tabular.problem.space.encode(tabular.genomes)
    options = [np.unique(column).tolist() for column in codes.T]
    proposed: set[str] = set()
    found = idle = 0
    while found < len(tabular.genomes) and idle < PATIENCE:
        trial = study.ask()
        code = [trial.suggest_categorical(str(i), values) for i, values in enumerate(options)]
        genome = tabular.problem.space.decode(np.array(code))
        key, row = genome_key(genome), tabular.row(genome)
        idle = idle + 1 if key in proposed else 0
        if row is None:
            study.tell(trial, state=library.trial.TrialState.FAIL)
        else:
            study.tell(trial, tabular.costs[row].tolist())
            if key not in proposed:
                found += 1
                yield row
        proposed.add(key)


PRODUCT = ("evonas", "plain", "oracle")

OTHERS: dict[str, Callable[[Tabular, int], Rows]] = {
    "pymoo": pymoo,
    "random": random,
    "local": local,
    "optuna-nsga2": lambda tabular, seed: optuna(tabular, seed, "nsga2"),
    "optuna-tpe": lambda tabular, seed: optuna(tabular, seed, "tpe"),
}

METHODS = (*PRODUCT, *OTHERS)


def available() -> list[str]:
    """Name the methods that one could use and whose libraries are installed."""
    found = find_spec("optuna") is not None
    names = [name for name in METHODS if name != "oracle"]
    return [name for name in names if found or not name.startswith("optuna")]


def search(tabular: Tabular, method: str, seed: int, budget: int) -> Searched:
    """Search with one of ``METHODS`` until the budget is used or the method is at its end."""
    match method:
        case "evonas":
            return by_product(tabular, seed, budget, "default")
        case "plain":
            return by_product(tabular, seed, budget, None)
        case "oracle":
            return by_product(tabular, seed, budget, lambda problem: OracleSurrogate(tabular, seed))
    return Searched(list(islice(OTHERS[method](tabular, seed), budget)))
