"""Start and resume searches: puts the parts together that a search is made of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from evonas import plugins
from evonas.acquisition.gate import EvaluateAll, SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.engine.interrupt import StopRequest
from evonas.engine.loop import Budget, Observer, Search
from evonas.errors import RunError, UsageError, WorkError
from evonas.optimizers.lookahead import LookAhead
from evonas.optimizers.nsga2 import NSGA2
from evonas.problem import Problem, Report, check_problem
from evonas.protocols import Gate, Optimizer, Runner, Surrogate
from evonas.run.front import Front
from evonas.run.journal import Journal
from evonas.run.manifest import write_manifest
from evonas.run.run import Run, opening_size, run_problem

RunnerFactory = Callable[..., Runner]
"""Called as ``factory(problem, workers=..., timeout=..., retries=...)``, with further options.

Its attribute ``prefers_asynchronous``, if it has one, is the default of a search's mode.
"""

SurrogateFactory = Callable[[Problem], Surrogate]
"""Makes the surrogate of a problem."""

OPENING, BATCH = 20, 5
"""Designs of the opening batch and of every later one in a search with a surrogate: smaller than
a population, since each batch is chosen with what the last one taught. Later ones are larger where
there are more workers."""

DEFAULT_EVALUATIONS = 200
"""The budget of a search that is given none."""


def search(
    problem: Problem,
    *,
    evaluations: int | None = None,
    seconds: float | None = None,
    generations: int | None = None,
    seed: int = 0,
    population: int = 40,
    offspring: int | None = None,
    asynchronous: bool | None = None,
    surrogate: str | SurrogateFactory | None = None,
    runner: str | RunnerFactory = "serial",
    workers: int | None = 1,
    timeout: float | None = None,
    retries: int = 2,
    runner_options: Mapping[str, object] | None = None,
    grace: float | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    files: Mapping[str, str] | None = None,
    reference: str | None = None,
    options: Mapping[str, object] | None = None,
    observer: Observer | None = None,
    report: Report = print,
) -> Run:
    """Search a problem with NSGA-II.

    Args:
        problem: What to search.
        evaluations: End after this many, the probes of fitted devices included; 200 when no budget
            is given.
        seconds: End after this wall time.
        generations: End after this many batches.
        seed: Of everything random in the search.
        population: Survivors, and candidates of the opening batch (with a surrogate, at most 20).
        offspring: Candidates of every later batch; by default as many as the population (with a
            surrogate 5, or as many as there are workers if these are more).
        asynchronous: Propose whenever a worker is free, rather than batch by batch; left out,
            as the runner prefers.
        surrogate: A registered name or a factory of what predicts metrics, so that only designs
            worth it are evaluated; left out, the search is NSGA-II alone.
        runner: A registered name, or a factory.
        workers: Evaluations at the same time; ``None`` lets the runner choose, if it can.
        timeout: Seconds an evaluation may take.
        retries: How often an evaluation is tried again whose worker died.
        runner_options: Further arguments of the runner, such as Ray's ``address``; kept for
            :func:`resume`, so they must be JSON.
        grace: Seconds that a stop leaves to what is running; left out, any.
        out: The run's directory; left out, the run is kept in memory.
        overwrite: Replace a run that is there, as soon as this one is ready to begin.
        files: Texts to keep in the run's directory, by the names of their files.
        reference: How ``resume`` finds the problem again (:func:`evonas.references.load_problem`).
        options: The options that go with it.
        observer: Told how it goes.
        report: Told what is going on, in words.

    Returns:
        The run, with its ``front``.

    Raises:
        UsageError: The call is wrong; nothing has been evaluated.
        WorkError: The work failed; what was committed is kept.
    """
    check_problem(problem)
    if evaluations is None and seconds is None and generations is None:
        evaluations = DEFAULT_EVALUATIONS
    factory = _factory(runner)
    if asynchronous is None:
        asynchronous = getattr(factory, "prefers_asynchronous", False)
    batch = population if surrogate is None else max(BATCH, workers or 1)
    settings = {
        "seed": seed,
        "population": population,
        "opening": population if surrogate is None else min(population, OPENING),
        "offspring": batch if offspring is None else offspring,
        "asynchronous": asynchronous,
        "surrogate": surrogate if isinstance(surrogate, str) else "own" if surrogate else None,
        "runner": runner if isinstance(runner, str) else None,
        "workers": workers,
        "timeout": timeout,
        "retries": retries,
        "runner_options": dict(runner_options or {}),
        "grace": grace,
        "budget": {"evaluations": evaluations, "seconds": seconds, "generations": generations},
    }
    _check_settings(settings)
    _check_json("option", options or {})
    _check_json("option of the runner", runner_options or {})
    budget = _budget(problem, settings)
    optimizer, gate = _strategy(problem, settings, surrogate)
    directory = None if out is None else Path(out)
    with ExitStack() as stack:
        # From here on no other process touches the directory; only what is ready replaces a run.
        lock = (
            None if directory is None else stack.enter_context(Journal.claim(directory, overwrite))
        )
        problem.prepare(report)
        meta: dict[str, Any] = {
            "description": problem.describe(),
            "settings": settings,
            "reference": reference,
            "options": dict(options or {}),
            "state": "running",
        }
        made = stack.enter_context(_made(factory, problem, settings))
        journal = Journal.create(directory, meta, lock)
        try:
            if directory is not None:
                write_manifest(directory, meta["description"]["problem"], seed)
                for name, text in (files or {}).items():
                    (directory / name).write_text(text, encoding="utf-8")
            _go(problem, journal, optimizer, gate, made, budget, observer, report)
        except BaseException:
            journal.close()
            raise
    return _ended(journal, directory)


def resume(
    directory: str | Path,
    *,
    problem: Problem | None = None,
    evaluations: int | None = None,
    seconds: float | None = None,
    generations: int | None = None,
    surrogate: SurrogateFactory | None = None,
    runner: str | RunnerFactory | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    runner_options: Mapping[str, object] | None = None,
    observer: Observer | None = None,
    report: Report = print,
) -> Run:
    """Continue a run where its journal ends.

    Args:
        directory: The run's.
        problem: Needed only when the run was started with a problem object.
        evaluations: A new budget, in all; any of the three replaces the run's own budget.
        seconds: Likewise.
        generations: Likewise.
        surrogate: Needed only when the run was started with a factory of its own.
        runner: Another runner than before.
        workers: Another number of workers than before.
        timeout: Another timeout than before.
        runner_options: Other arguments of the runner; those that are not named stay, unless
            the runner is another one.
        observer: Told how it goes.
        report: Told what is going on, in words.

    Raises:
        RunError: There is no such run, another process is writing to it, or its problem changed.
    """
    directory = Path(directory)
    journal = Journal.open(directory)
    try:
        meta = journal.meta()
        problem = problem or run_problem(directory, meta)
        _check_same(directory, meta["description"], problem)
        settings = meta["settings"]
        given = {"evaluations": evaluations, "seconds": seconds, "generations": generations}
        if any(value is not None for value in given.values()):
            settings["budget"] = given
        changes = {"workers": workers, "timeout": timeout}
        settings |= {name: value for name, value in changes.items() if value is not None}
        if isinstance(runner, str) and runner != settings["runner"]:
            settings |= {"runner": runner, "runner_options": {}}
        settings["runner_options"] = settings.get("runner_options", {}) | dict(runner_options or {})
        _check_settings(settings)
        budget = _budget(problem, settings)
        chosen = runner or settings["runner"]
        if chosen is None:
            raise RunError(f"run '{directory}' had a runner of its own; pass it to resume")
        factory = _factory(chosen)
        optimizer, gate = _strategy(problem, settings, surrogate or settings.get("surrogate"))
        problem.prepare(report)
        with _made(factory, problem, settings) as made:
            journal.set_meta({"settings": settings, "state": "running"})
            _go(problem, journal, optimizer, gate, made, budget, observer, report)
    except BaseException:
        journal.close()
        raise
    return _ended(journal, directory)


def _factory(runner: str | RunnerFactory) -> RunnerFactory:
    if not isinstance(runner, str):
        return runner
    factory: RunnerFactory = plugins.load("evonas.runners", runner)
    return factory


@contextmanager
def _made(
    factory: RunnerFactory, problem: Problem, settings: Mapping[str, Any]
) -> Iterator[Runner]:
    options = {name: settings[name] for name in ("workers", "timeout", "retries")}
    given = {name: value for name, value in options.items() if value is not None}
    runner = factory(problem, **given, **settings["runner_options"])
    try:
        yield runner
    finally:
        runner.close()


def _budget(problem: Problem, settings: Mapping[str, Any]) -> Budget:
    """What is left of the budget when the probes of fitted devices are counted."""
    budget, probes = Budget(**settings["budget"]), sum(problem.probes.values())
    if budget.evaluations is None or not probes:
        return budget
    if budget.evaluations <= probes:
        raise UsageError(
            f"the budget is {budget.evaluations} evaluations, and {probes} were made already, as "
            f"probes of {' and '.join(problem.probes)}; give more than {probes}"
        )
    return replace(budget, evaluations=budget.evaluations - probes)


def _strategy(
    problem: Problem, settings: Mapping[str, Any], surrogate: str | SurrogateFactory | None
) -> tuple[Optimizer, Gate]:
    """Make the optimizer and the gate: NSGA-II alone, or looking ahead on a surrogate."""
    population, seed = settings["population"], settings["seed"]
    if surrogate is None:
        return NSGA2(problem, population, seed), EvaluateAll()
    if surrogate == "own":
        raise RunError("the run had a surrogate of its own; pass it to resume")
    if isinstance(surrogate, str):
        surrogate = cast(SurrogateFactory, plugins.load("evonas.surrogates", surrogate))
    model = PosteriorModel(problem, surrogate(problem))
    ahead = LookAhead(problem, model, population, seed, settings["opening"])
    return ahead, SurrogateGate(problem, model, seed=seed)


def _go(
    problem: Problem,
    journal: Journal,
    optimizer: Optimizer,
    gate: Gate,
    runner: Runner,
    budget: Budget,
    observer: Observer | None,
    report: Report,
) -> None:
    settings = journal.meta()["settings"]
    grace = settings.get("grace")
    with StopRequest(report, grace) as stop:
        progress = Search(
            problem=problem,
            journal=journal,
            optimizer=optimizer,
            gate=gate,
            runner=runner,
            budget=budget,
            population=opening_size(settings),
            offspring=settings["offspring"],
            asynchronous=settings["asynchronous"],
            stop=stop,
            grace=grace,
            observer=observer,
        ).run()
        _score_front(problem, journal)
    journal.set_meta({"state": progress.state, "seconds": progress.seconds})
    if progress.state == "exhausted":
        report(f"The space is exhausted: every design was proposed ({progress.proposed}).")


def _score_front(problem: Problem, journal: Journal) -> None:
    """Measure the final metrics of the front's members that have none yet."""
    wanted = [metric.name for metric in problem.final_metrics]
    if not wanted:
        return
    for design in Front.from_journal(journal).designs:
        if all(name in design.metrics for name in wanted):
            continue
        begin = time.perf_counter()
        try:
            values = problem.final(design.genes)
            values = {name: float(values[name]) for name in wanted}
        except Exception as error:
            raise WorkError(
                f"final metrics of design {design.id} failed: {type(error).__name__}: {error}"
            ) from error
        journal.add_values(design.id, values, time.perf_counter() - begin)


def _ended(journal: Journal, directory: Path | None) -> Run:
    """Let go of the run, so that others may resume it while this process looks at it."""
    if directory is None:
        return Run(journal, None)
    journal.close()
    return Run.open(directory)


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name in ("offspring", "workers"):
        if settings[name] is not None and settings[name] < 1:
            raise UsageError(f"{name} is {settings[name]}; it must be at least 1")
    for name in ("retries", "seed"):
        if settings[name] < 0:
            raise UsageError(f"{name} is {settings[name]}; it must not be negative")
    for name in ("timeout", "grace"):
        if settings.get(name) is not None and not settings[name] > 0:
            raise UsageError(f"the {name} is {settings[name]}; it must be positive, in seconds")


def _check_json(kind: str, options: Mapping[str, object]) -> None:
    """Check that what a run remembers of a call can be written down."""
    for name, value in options.items():
        try:
            json.dumps(value)
        except TypeError:
            raise UsageError(
                f"the {kind} '{name}' is {value!r}; it must be text, a number, true or false, or a "
                "list or mapping of these"
            ) from None


def _known(now: Any, before: Any) -> Any:
    """Leave out of descriptions of metrics, say, what runs of earlier versions do not hold."""
    if not isinstance(now, list) or not isinstance(before, list) or len(now) != len(before):
        return now
    return [
        {key: new[key] for key in new if key in old} if isinstance(new, dict) else new
        for new, old in zip(now, before, strict=True)
    ]


def _check_same(directory: Path, before: Mapping[str, Any], problem: Problem) -> None:
    now = json.loads(json.dumps(problem.describe()))
    for part in ("space", "metrics", "objectives", "constraints", "probes", "kits", "data"):
        # Older runs lack some, and not every problem has data of its own.
        if part in before and part in now and _known(now[part], before[part]) != before[part]:
            what = "fitted device" if part == "kits" else part
            raise RunError(
                f"the {what} of problem '{before['problem']}' changed since run '{directory}' "
                "was started; start a new run"
            )
