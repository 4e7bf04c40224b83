"""Start and resume searches: put the parts together that a search is made of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from evonas import plugins
from evonas.acquisition.gate import EvaluateAll, SurrogateGate
from evonas.acquisition.posterior import PosteriorModel
from evonas.devices.problem import keep_profiles
from evonas.engine.interrupt import StopRequest
from evonas.engine.loop import Observer, Search
from evonas.engine.settings import (
    BUDGET,
    CHANGEABLE,
    DEFAULT_EVALUATIONS,
    OWN,
    RUNNER,
    RunnerFactory,
    SearchSettings,
    SurrogateFactory,
    load_runner,
    read_settings,
)
from evonas.engine.signature import takes_settings
from evonas.errors import RunError, UsageError, WorkError
from evonas.optimizers.lookahead import LookAhead
from evonas.optimizers.nsga2 import NSGA2
from evonas.problem import Problem, Report, check_problem
from evonas.protocols import Gate, Optimizer, Runner
from evonas.run.derive_again import check_derived_alike
from evonas.run.front import Front
from evonas.run.journal import Journal
from evonas.run.layout import DEVICES
from evonas.run.manifest import write_manifest
from evonas.run.run import Run, run_problem


# Type checkers know the parameters from the constructor of SearchSettings; a TypedDict for
# ``**parameters`` would be a second list of them.
@takes_settings(SearchSettings.model_fields)
def search(
    problem: Problem,
    settings: SearchSettings | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    files: Mapping[str, str] | None = None,
    reference: str | None = None,
    options: Mapping[str, object] | None = None,
    observer: Observer | None = None,
    report: Report = print,
    **parameters: Any,
) -> Run:
    """Search a problem.

    Args:
        problem: The problem to search.
        settings: Parameters of the search; keywords that follow take their place.
        out: Directory of the run; left out, the run is kept in memory.
        overwrite: Whether to replace a run that is there, once this one is ready to begin.
        files: Texts to keep in the run's directory: file name -> content.
        reference: Reference by which :func:`resume` makes the problem again, see
            :func:`evonas.references.load_problem`; left out, it has to be passed again.
        options: Options with which it makes the problem again.
        observer: Observer that is told how the search goes.
        report: Function that is called with lines of text about what is going on.
        **parameters: Parameters of the search, as those of :class:`SearchSettings`.

    ``surrogate`` may also be a registered name, or a factory that is called with the problem;
    ``runner`` a factory that is called with the problem and the parameters that concern it.
    :func:`resume` needs factories again.

    Returns:
        The run, with its ``front``.

    Raises:
        UsageError: The call is wrong; nothing has been evaluated.
        WorkError: The work failed; what was committed is kept.
    """
    check_problem(problem)
    if not isinstance(settings, SearchSettings | None):
        raise UsageError(
            f"the settings are {settings!r}; they must be SearchSettings, or keywords such as "
            "evaluations=60"
        )
    settings = (settings or SearchSettings()).changed(**parameters)
    if all(getattr(settings, name) is None for name in BUDGET):
        settings = settings.changed(evaluations=DEFAULT_EVALUATIONS)
    factory = load_runner(settings)
    _check_json(options or {})
    _check_probes(problem, settings)
    optimizer, gate = _strategy(problem, settings)
    directory = None if out is None else Path(out)
    with ExitStack() as stack:
        # From here on no other process touches the directory; only what is ready replaces a run.
        lock = (
            None if directory is None else stack.enter_context(Journal.claim(directory, overwrite))
        )
        problem.prepare(report)
        runner = stack.enter_context(_made(factory, problem, settings))
        settings = settings.resolved(runner)
        meta: dict[str, Any] = {
            "description": problem.describe(),
            "settings": settings.model_dump(mode="json"),
            "reference": reference,
            "options": dict(options or {}),
            "state": "running",
        }
        journal = Journal.create(directory, meta, lock)
        try:
            if directory is not None:
                write_manifest(directory, meta["description"]["problem"], settings.seed)
                keep_profiles(problem, directory / DEVICES)
                for name, text in (files or {}).items():
                    (directory / name).write_text(text, encoding="utf-8")
            _go(problem, journal, optimizer, gate, runner, settings, observer, report)
        except BaseException:
            journal.close()
            raise
    return _ended(journal, directory)


@takes_settings(CHANGEABLE, defaults=False)
def resume(
    directory: str | Path,
    *,
    problem: Problem | None = None,
    surrogate: SurrogateFactory | None = None,
    observer: Observer | None = None,
    report: Report = print,
    **parameters: Any,
) -> Run:
    """Continue a run where its journal ends.

    A parameter that is not given stays as it was. A new budget replaces the whole of the old one,
    and counts what was done already; with another runner, the number of workers and what is told
    to a cluster start from their defaults.

    Args:
        directory: Directory of the run.
        problem: The problem; needed only when the run was started with a problem object.
        surrogate: Factory of the surrogate; needed only when the run was started with a factory.
        observer: Observer that is told how the search goes.
        report: Function that is called with lines of text about what is going on.
        **parameters: Parameters of the search that change.

    Returns:
        The run, with its ``front``.

    Raises:
        RunError: There is no such run, another process is writing to it, its problem changed, or
            it was started with a factory that has to be passed again.
        UsageError: A parameter is unknown or wrong, or cannot change in a resumed run.
        WorkError: The work failed; what was committed is kept.
    """
    directory = Path(directory)
    journal = Journal.open(directory)
    try:
        meta = journal.meta()
        problem = problem or run_problem(directory, meta)
        check_problem(problem)
        _check_same(directory, meta["description"], problem)
        settings = read_settings(meta["settings"]).resumed(**parameters)
        if surrogate is not None:
            settings = settings.changed(surrogate=surrogate)
        if OWN in (settings.runner, settings.surrogate):
            what = "runner" if settings.runner == OWN else "surrogate"
            raise RunError(f"run '{directory}' had a {what} of its own; pass it to resume")
        factory = load_runner(settings)
        _check_probes(problem, settings)
        optimizer, gate = _strategy(problem, settings)
        problem.prepare(report)
        check_derived_alike(directory, meta["description"], journal.evaluations(), problem)
        with _made(factory, problem, settings) as runner:
            journal.set_meta({"settings": settings.model_dump(mode="json"), "state": "running"})
            _go(problem, journal, optimizer, gate, runner, settings, observer, report)
    except BaseException:
        journal.close()
        raise
    return _ended(journal, directory)


@contextmanager
def _made(factory: RunnerFactory, problem: Problem, settings: SearchSettings) -> Iterator[Runner]:
    given = {name: getattr(settings, name) for name in RUNNER}
    runner = factory(problem, **{k: value for k, value in given.items() if value is not None})
    try:
        yield runner
    finally:
        runner.close()


def _check_probes(problem: Problem, settings: SearchSettings) -> None:
    """Check that the budget is larger than the number of probes of fitted devices."""
    devices = problem.describe().get("probes", {})
    probes = sum(devices.values())
    if probes and settings.evaluations is not None and settings.evaluations <= probes:
        raise UsageError(
            f"the budget is {settings.evaluations} evaluations, and {probes} were made already, as "
            f"probes of {' and '.join(devices)}; give more than {probes}"
        )


def _strategy(problem: Problem, settings: SearchSettings) -> tuple[Optimizer, Gate]:
    """Make the optimizer and the gate: plain NSGA-II, or one that looks ahead on a surrogate."""
    population, seed, surrogate = settings.population, settings.seed, settings.surrogate
    if not surrogate:
        return NSGA2(problem, population, seed), EvaluateAll()
    if not callable(surrogate):
        name = surrogate if isinstance(surrogate, str) else "default"
        surrogate = cast(SurrogateFactory, plugins.load("evonas.surrogates", name))
    model = PosteriorModel(problem, surrogate(problem))
    ahead = LookAhead(problem, model, population, seed, settings.first_batch)
    return ahead, SurrogateGate(problem, model, seed=seed)


def _go(
    problem: Problem,
    journal: Journal,
    optimizer: Optimizer,
    gate: Gate,
    runner: Runner,
    settings: SearchSettings,
    observer: Observer | None,
    report: Report,
) -> None:
    """Search, and measure the final metrics of the front."""
    with StopRequest(report, settings.grace) as stop:
        progress = Search(
            problem=problem,
            journal=journal,
            optimizer=optimizer,
            gate=gate,
            runner=runner,
            settings=settings,
            stop=stop,
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
    """Open the run for reading, so that others may resume it while this process looks at it."""
    if directory is None:
        return Run(journal, None)
    journal.close()
    return Run.open(directory)


def _check_json(options: Mapping[str, object]) -> None:
    """Check that the problem's options can be written down."""
    for name, value in options.items():
        try:
            json.dumps(value)
        except TypeError:
            raise UsageError(
                f"the option '{name}' is {value!r}; it must be text, a number, true or false, or a "
                "list or mapping of these"
            ) from None


def _known(now: Any, before: Any) -> Any:
    """Leave out of a description what runs of earlier versions do not hold."""
    if not isinstance(now, list) or not isinstance(before, list) or len(now) != len(before):
        return now
    return [
        {key: new[key] for key in new if key in old} if isinstance(new, dict) else new
        for new, old in zip(now, before, strict=True)
    ]


def _check_same(directory: Path, before: Mapping[str, Any], problem: Problem) -> None:
    now = json.loads(json.dumps(problem.describe()))
    for part in ("space", "metrics", "objectives", "constraints", "probes", "kits", "data"):
        # Older runs lack some of these, and not every problem has data of its own.
        if part in before and part in now and _known(now[part], before[part]) != before[part]:
            what = "fitted device" if part == "kits" else part
            raise RunError(
                f"the {what} of problem '{before['problem']}' changed since run '{directory}' "
                "was started; start a new run"
            )
