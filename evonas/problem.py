"""Problems: a search space, metrics, and a method that evaluates a design."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from evonas.errors import ProblemError, SpaceError, did_you_mean
from evonas.records import Evaluation
from evonas.space import Choice, FloatArray, Genome, Space, Value


@dataclass(frozen=True)
class Metric:
    """A measured quantity.

    Args:
        name: Name of the column in tables, and key of the value that ``evaluate`` returns.
        unit: Unit as written behind a number (``"ms"``, ``"%"``); empty for a count.
        genes: Genes that it depends on; ``None`` means all. A value is read from memory
            when a design with the same values of these genes was evaluated before.
        expensive: Whether the metric is worth predicting. Cheap metrics are always computed.
        rises_with: Integer and real genes that never make it smaller when they grow (a width and
            the latency, say); a surrogate keeps to it.
        falls_with: Integer and real genes that never make it larger when they grow.
        derived_from: Metrics that it is derived from. It is computed from them by
            :meth:`Problem.derive`, and never measured, remembered or predicted itself. Empty for a
            metric that :meth:`Problem.evaluate` measures.
    """

    name: str
    unit: str = ""
    genes: Sequence[str] | None = None
    expensive: bool = True
    rises_with: Sequence[str] = ()
    falls_with: Sequence[str] = ()
    derived_from: Sequence[str] = ()

    @property
    def label(self) -> str:
        """Name and unit, as an axis or a column shows them."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Objective:
    """A metric to minimise or maximise.

    Args:
        metric: Name of the metric.
        goal: ``"minimise"`` or ``"maximise"``.
        reference: Reference of the hypervolume, in the metric's unit: the worst value that counts.
            Left out, it is taken from the run's first evaluations.
    """

    metric: str
    goal: Literal["minimise", "maximise"] = "minimise"
    reference: float | None = None

    def __post_init__(self) -> None:
        if self.goal not in ("minimise", "maximise"):
            raise ProblemError(
                f"objective '{self.metric}' has the goal {self.goal!r}; "
                "it must be 'minimise' or 'maximise'"
            )

    @property
    def sign(self) -> float:
        """+1 to minimise, -1 to maximise: the factor that turns the metric into a cost."""
        return 1.0 if self.goal == "minimise" else -1.0


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric; designs beyond it are infeasible.

    Args:
        metric: Name of the metric.
        upper: Largest value allowed, in the metric's unit.
        lower: Smallest value allowed, in the metric's unit.

    Raises:
        ProblemError: There is no bound, or the lower one is above the upper one.
    """

    metric: str
    upper: float = math.inf
    lower: float = -math.inf

    def __post_init__(self) -> None:
        if self.upper == math.inf and self.lower == -math.inf:
            raise ProblemError(f"the constraint on '{self.metric}' has neither upper nor lower")
        if not self.lower <= self.upper:
            raise ProblemError(
                f"the constraint on '{self.metric}' allows from {self.lower} to {self.upper}; "
                "lower must not be above upper"
            )

    def violation(self, value: float) -> float:
        """Return how far a value lies beyond the bound, as a share of it; at most 0 if allowed."""
        beyond, bound = max(
            (value - self.upper, self.upper), (self.lower - value, self.lower), key=lambda b: b[0]
        )
        return beyond / (abs(bound) or 1.0)


RESERVED = ("id", "units")
"""Names of columns that a front adds; no gene and no metric has one of them."""

Report = Callable[[str], None]
"""A function that is called with lines of text about what is going on."""


class Problem(ABC):
    """Something to search.

    A subclass sets ``space``, ``metrics`` and ``objectives`` (as class attributes or in its
    ``__init__``, whose keyword arguments become ``--set`` options) and implements
    :meth:`evaluate`. Everything else has a default.

    Attributes:
        space: The search space.
        metrics: Metrics that ``evaluate`` measures, and those derived from them.
        objectives: Metrics to minimise or maximise.
        constraints: Bounds on metrics.
        final_metrics: Metrics that :meth:`final` measures once for each member of the final front,
            and that the search never sees (a test error, say).
        notes: Lines to show wherever results are shown (a simulated device, say); figures show each
            up to its first colon.
        highlight: Numeric gene that figures colour the front by, if one tells designs apart.
        designs: Canonical genomes of the only designs that have values, where they can be listed
            (the rows of a table); a search proposes no others.
        timed_models: File name, without ``.onnx``, of a model that :meth:`export` writes -> the
            metric that is its time in ms, or a fixed multiple of it; 0 where a design has no such
            model. They are what ``evonas device probe`` makes kits of, and are measured with inputs
            of the shapes that they declare, an open dimension being 1. On a device that was
            fitted so, these metrics are predicted
            (:class:`evonas.devices.problem.DeviceProblem`).
        runs_on: Timed model -> option that names the device that it runs on; empty if all run on
            the option ``device``. A class attribute. The class may have these options itself, say
            for presets; it is then given a :class:`evonas.devices.presets.Device` with the factor
            1 instead of a fitted device's name.
        model_options: Options that decide what the timed models are; ``None`` means all but those
            of ``runs_on``. A fitted device serves a problem if these options are equal.
        model_energies: Timed model -> metric that is the energy of a call in mJ, if the problem has
            one. It is predicted on a fitted device that was metered, even if it is derived
            otherwise.
    """

    space: Space
    metrics: Sequence[Metric]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint] = ()
    final_metrics: Sequence[Metric] = ()
    notes: Sequence[str] = ()
    highlight: str | None = None
    designs: Sequence[Genome] | None = None
    timed_models: Mapping[str, str] = MappingProxyType({})
    runs_on: Mapping[str, str] = MappingProxyType({})
    model_options: Sequence[str] | None = None
    model_energies: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Measure a genome.

        Args:
            genome: The design in canonical form: active genes only.
            metrics: Names of the metrics that are wanted, never derived ones; values of other
                metrics are ignored.

        Returns:
            Metric name -> finite value, in the metric's unit.

        Raises:
            InfeasibleError: The genome has no values. Any other exception is a failure.
        """

    def derive(self, metric: str, parts: Mapping[str, FloatArray]) -> FloatArray:
        """Compute a metric that is derived from others, such as a sum of times.

        It is called for one design and for many at once, with values that were measured, predicted,
        or changed a little to see how uncertainty propagates.

        Args:
            metric: Name of a metric with ``derived_from``.
            parts: Metric that it is derived from -> array of shape (n,), in that metric's unit.

        Returns:
            Values in the metric's unit, shape (n,). Each follows from the same element of the
            parts, and from nothing else.
        """
        raise ProblemError(f"problem '{problem_name(self)}' does not say how '{metric}' is derived")

    def prepare(self, report: Report) -> None:  # noqa: B027 (doing nothing is a fine default)
        """Do what every evaluation needs, once, before workers start: train, calibrate, cache.

        What it leaves in the instance travels to the workers, so it must pickle.

        Args:
            report: Function that is called with lines of text about what is going on.
        """

    def check_worker(self) -> None:  # noqa: B027 (needing nothing is a fine default)
        """Check that a worker has what an evaluation needs beside the instance: data, a device.

        Called once in every worker process, before it evaluates.

        Raises:
            DataError: Something is missing there; the message says what.
        """

    def canonical(self, genome: Genome) -> Mapping[str, Value]:
        """Map equal designs to one genome; by default inactive genes are left out.

        Args:
            genome: Genome whose values are valid.

        Returns:
            The canonical form of the design; that of a canonical genome is itself.
        """
        return self.space.canonical(genome)

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """Say what a metric depends on: designs with equal keys share the metric's value.

        Args:
            metric: Name of a measured metric.
            genome: The design, in canonical form.

        Returns:
            What the metric depends on; by default the values of its ``genes``.
        """
        genes = self.metric(metric).genes
        return dict(genome) if genes is None else {g: genome[g] for g in genes if g in genome}

    def features(self, genomes: Sequence[Genome]) -> FloatArray | Mapping[str, FloatArray] | None:
        """Describe designs to surrogates, which see these features beside the genes.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            Array of shape (number of genomes, number of features), or a dictionary of such arrays
            where features are of several kinds that need not matter alike, or ``None`` for the
            default.
        """
        return None

    def views(self, genomes: Sequence[Genome]) -> Mapping[str, FloatArray]:
        """Describe designs by feature views; models of devices learn which ones a metric follows.

        Surrogates of a search see :meth:`features` and the genes, models that carry over between
        devices see these views alone. Views named ``KIND:VARIANT`` are variants of one description,
        with the same columns: what one device or another makes of a network (all of it, or what is
        left without its dead parts, say). Of such variants a model uses the few that a metric
        follows; it uses all other views unless there is strong evidence against them. On a fitted
        device, a view that is named after one of ``timed_models`` describes that model alone.

        Args:
            genomes: Designs, in canonical form.

        Returns:
            Name -> array of shape (number of genomes, columns); empty by default.
        """
        return {}

    def final(self, genome: Genome) -> Mapping[str, float]:
        """Measure the final metrics of a member of the final front.

        Args:
            genome: The design, in canonical form.

        Returns:
            Metric name -> finite value, in the metric's unit.
        """
        return {}

    def export(self, genome: Genome, directory: Path) -> None:
        """Write a design's model files.

        Args:
            genome: The design, in canonical form.
            directory: Directory to write to; it exists and is empty.

        Raises:
            WorkError: The files are not what they should be.
        """
        raise ProblemError(f"problem '{problem_name(self)}' has no model files to export")

    def has_model(self, model: str, genome: Genome) -> bool | None:
        """Say whether a design has one of ``timed_models``, without measuring anything.

        Args:
            model: Name of a timed model.
            genome: The design, in canonical form.

        Returns:
            ``None`` if only the model's time says so, which is 0 without the model. On a fitted
            device, times are then measured here all the same.
        """
        return None

    @property
    def unwrapped(self) -> Problem:
        """The problem as its author made it, where another wraps it (on a fitted device)."""
        return self

    @property
    def measured_metrics(self) -> list[Metric]:
        """The metrics that :meth:`evaluate` measures: those that are not derived."""
        return [metric for metric in self.metrics if not metric.derived_from]

    @property
    def exports_models(self) -> bool:
        """Whether :meth:`export` writes something."""
        return type(self).export is not Problem.export

    def metric(self, name: str) -> Metric:
        """Find a metric, the final ones included, by name."""
        for metric in (*self.metrics, *self.final_metrics):
            if metric.name == name:
                return metric
        raise ProblemError(
            f"problem '{problem_name(self)}' has no metric '{name}'"
            + did_you_mean(name, [m.name for m in self.metrics])
        )

    def describe(self) -> dict[str, Any]:
        """Describe space, metrics, objectives and constraints as JSON.

        A problem may add ``"data"``, a digest of what its values come from: a run is not resumed
        when that has changed.
        """
        return {
            "problem": problem_name(self),
            "space": self.space.describe(),
            "metrics": [
                {
                    "name": m.name,
                    "unit": m.unit,
                    "genes": None if m.genes is None else list(m.genes),
                    "derived_from": list(m.derived_from),
                    "final": m in self.final_metrics,
                }
                for m in (*self.metrics, *self.final_metrics)
            ],
            "objectives": [
                {"metric": o.metric, "goal": o.goal, "reference": o.reference}
                for o in self.objectives
            ],
            "constraints": [
                {
                    "metric": c.metric,
                    "upper": c.upper if math.isfinite(c.upper) else None,
                    "lower": c.lower if math.isfinite(c.lower) else None,
                }
                for c in self.constraints
            ],
            "notes": list(self.notes),
            "highlight": self.highlight,
        }


def problem_name(problem: Problem) -> str:
    """Return the name of the class that the problem's author wrote, for messages and tables."""
    return type(problem.unwrapped).__name__


def objective_costs(
    objectives: Sequence[Objective], evaluations: Sequence[Evaluation]
) -> FloatArray:
    """Return objectives as costs: maximised ones are negated.

    Args:
        objectives: The objectives.
        evaluations: Evaluations with a value for each of them.

    Returns:
        Array of shape (number of evaluations, number of objectives).
    """
    rows = [[o.sign * e.values[o.metric] for o in objectives] for e in evaluations]
    return np.array(rows, dtype=np.float64).reshape(len(evaluations), len(objectives))


def judge(problem: Problem, values: Mapping[str, float]) -> str:
    """Say which constraints a design breaks, as one sentence; empty if it keeps them all.

    Args:
        problem: The problem, which has the constraints.
        values: Metric -> value in the metric's unit.
    """
    return "; ".join(
        f"{c.metric} is {values[c.metric]:g}, allowed is "
        + (f"at most {c.upper:g}" if values[c.metric] > c.upper else f"at least {c.lower:g}")
        for c in problem.constraints
        if c.violation(values[c.metric]) > 0
    )


def check_problem(problem: Problem) -> None:
    """Check that a problem's declaration holds together.

    Raises:
        ProblemError: Something is missing, named twice, or names what does not exist.
    """
    if not isinstance(problem, Problem):
        raise ProblemError(
            f"a problem must be an object of a class derived from evonas.Problem, not {problem!r}"
        )
    name = problem_name(problem)
    for attribute in ("space", "metrics", "objectives"):
        if not getattr(problem, attribute, None):
            raise ProblemError(f"problem '{name}' does not set '{attribute}'")
    if not isinstance(problem.space, Space):
        raise ProblemError(f"problem '{name}': 'space' is {problem.space!r}; it must be a Space")
    _check_kinds(name, "metrics", problem.metrics, Metric)
    _check_kinds(name, "final_metrics", problem.final_metrics, Metric)
    _check_kinds(name, "objectives", problem.objectives, Objective)
    _check_kinds(name, "constraints", problem.constraints, Constraint)
    if problem.designs is not None:
        _check_sequence(name, "designs", problem.designs)
    names = [m.name for m in (*problem.metrics, *problem.final_metrics)]
    _check_distinct(name, "metric", names)
    _check_distinct(name, "objective", [o.metric for o in problem.objectives])
    if clash := set(names) & set(problem.space.names):
        raise ProblemError(f"problem '{name}' uses '{clash.pop()}' for a gene and for a metric")
    for taken in RESERVED:
        if taken in (*names, *problem.space.names):
            raise ProblemError(
                f"problem '{name}' calls a gene or a metric '{taken}', as a front calls a column "
                "of its own; give it another name"
            )
    searched = [m.name for m in problem.metrics]
    for role, wanted in (
        ("objective", [o.metric for o in problem.objectives]),
        ("constraint", [c.metric for c in problem.constraints]),
    ):
        for metric in wanted:
            if metric not in searched:
                raise ProblemError(
                    f"{role} '{metric}' of problem '{name}' is not one of its metrics"
                    + did_you_mean(metric, searched)
                )
    if problem.highlight not in (None, *problem.space.names):
        raise ProblemError(
            f"problem '{name}' highlights an unknown gene '{problem.highlight}'"
            + did_you_mean(str(problem.highlight), problem.space.names)
        )
    if problem.highlight is not None:
        shown = problem.space.by_name[problem.highlight]
        if isinstance(shown, Choice) and not shown.numeric:
            raise ProblemError(
                f"problem '{name}' highlights the gene '{shown.name}', whose options are no numbers"
            )
    if problem.designs is not None and not len(problem.designs):
        raise ProblemError(f"problem '{name}' lists no designs; leave 'designs' out to allow all")
    for number, genome in enumerate(problem.designs or ()):
        try:
            canonical = problem.canonical(problem.space.validate(genome))
        except SpaceError as error:
            raise ProblemError(f"problem '{name}', design {number + 1}: {error}") from error
        if canonical != genome:
            raise ProblemError(
                f"problem '{name}', design {number + 1} is {genome}; "
                f"its canonical form is {canonical}"
            )
    for model, metric in problem.timed_models.items():
        if metric not in searched:
            raise ProblemError(
                f"problem '{name}' times the model '{model}' by '{metric}', which is not one of "
                "its metrics" + did_you_mean(metric, searched)
            )
    if problem.timed_models and not problem.exports_models:
        raise ProblemError(f"problem '{name}' sets 'timed_models', but exports no models")
    if problem.runs_on and set(problem.runs_on) != set(problem.timed_models):
        raise ProblemError(
            f"problem '{name}' says in 'runs_on' where {sorted(problem.runs_on)} run; it must name "
            f"its timed models, {sorted(problem.timed_models)}"
        )
    for model, metric in problem.model_energies.items():
        if model not in problem.timed_models or metric not in searched:
            raise ProblemError(
                f"problem '{name}' says in 'model_energies' that '{metric}' is the energy of "
                f"'{model}'; one is not among its metrics, or the other not in 'timed_models'"
            )
    _check_derived(problem)
    for m in problem.metrics:
        for gene in (*(m.genes or ()), *m.rises_with, *m.falls_with):
            if gene not in problem.space.by_name:
                raise ProblemError(
                    f"metric '{m.name}' of problem '{name}' depends on an unknown gene '{gene}'"
                    + did_you_mean(gene, problem.space.names)
                )


def _check_derived(problem: Problem) -> None:
    """Check that derived metrics follow from the problem's metrics, and not from themselves."""
    name = problem_name(problem)
    metrics = {metric.name: metric for metric in problem.metrics}
    for metric in metrics.values():
        for attribute in ("genes", "derived_from", "rises_with", "falls_with"):
            if isinstance(named := getattr(metric, attribute), str):
                raise ProblemError(
                    f"metric '{metric.name}' of problem '{name}' has {attribute}={named!r}; "
                    f"it must be a list, as in {attribute}=[{named!r}]"
                )
        for part in metric.derived_from:
            if part not in metrics:
                raise ProblemError(
                    f"metric '{metric.name}' of problem '{name}' is derived from an unknown metric "
                    f"'{part}'" + did_you_mean(part, metrics)
                )
    for metric in problem.final_metrics:
        if metric.derived_from:
            raise ProblemError(
                f"final metric '{metric.name}' of problem '{name}' cannot be derived; "
                "final() measures it"
            )
    try:
        TopologicalSorter({m.name: m.derived_from for m in metrics.values()}).prepare()
    except CycleError as error:
        raise ProblemError(
            f"metrics of problem '{name}' are derived in a circle: "
            + ", ".join(map(str, error.args[1]))
        ) from None


def _check_sequence(problem: str, attribute: str, items: object) -> None:
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise ProblemError(f"problem '{problem}': '{attribute}' is {items!r}; it must be a list")


def _check_kinds(problem: str, attribute: str, items: Iterable[object], kind: type) -> None:
    _check_sequence(problem, attribute, items)
    for item in items:
        if not isinstance(item, kind):
            raise ProblemError(
                f"problem '{problem}': '{attribute}' holds {item!r}; "
                f"it must hold {kind.__name__} objects"
            )


def _check_distinct(problem: str, what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ProblemError(f"problem '{problem}' declares the {what} '{name}' twice")
