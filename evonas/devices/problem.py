"""Any problem on a device that ``evonas device fit`` made known: its times are predicted there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evonas import plugins
from evonas.devices.profile import CostPredictor, Profile, interval_metrics, interval_names
from evonas.devices.transfer import Views, transfer_models
from evonas.errors import ConfigError
from evonas.problem import Problem, Report
from evonas.space import FloatArray, Genome, Value


class OnDevice(Problem):
    """A problem whose timed models run on a fitted device.

    The metrics that are their times are predicted for it in ms, or as they were measured there if
    that is surer, and each has the ends of its 90% interval beside it, ``METRIC_lower`` and
    ``METRIC_upper``. The problem is still asked for its own times, since only these say which
    designs lack a model; all other metrics are its own.

    Args:
        problem: As its author made it, with ``timed_models``.
        profile: Of the device.
        reference: How the problem was found.
        options: That it was made with.

    Raises:
        ConfigError: The device was fitted for another problem, space, or options, or a timed metric
            is of several models or has another unit than ms.
    """

    def __init__(
        self,
        problem: Problem,
        profile: Profile,
        reference: str,
        options: Mapping[str, object],
    ) -> None:
        _check(problem, profile, reference, options)
        self._problem, self._timed = problem, dict(problem.timed_models)
        self._costs = {model: CostPredictor(profile, model) for model in self._timed}
        timed = set(self._timed.values())
        self.metrics = [
            # It follows the whole design, whatever the problem's own times depend on.
            *(replace(m, genes=None) if m.name in timed else m for m in problem.metrics),
            *(end for name in self._timed.values() for end in interval_metrics(name, "ms")),
        ]
        self.space, self.objectives = problem.space, problem.objectives
        self.constraints, self.designs = problem.constraints, problem.designs
        self.final_metrics = problem.final_metrics
        self.highlight = problem.highlight
        self.profiles = [profile]
        self._note()

    @property
    def own(self) -> Problem:
        """The problem as its author made it."""
        return self._problem.own

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Measure a genome, and predict its times on the device."""
        names = {model: interval_names(metric) for model, metric in self._timed.items()}
        own = {end: metric for metric, *ends in names.values() for end in ends}
        wanted = list(dict.fromkeys(own.get(name, name) for name in metrics))
        found = dict(self._problem.evaluate(genome, wanted))
        asked = {model: ends for model, ends in names.items() if ends[0] in wanted}
        views = self._seen(genome) if asked else {}
        for model, ends in asked.items():
            here = found[ends[0]]
            if not math.isfinite(here):  # The evaluation fails, as it does without the device.
                found |= dict.fromkeys(ends, here)
            elif here > 0:
                found |= zip(ends, self._costs[model].predict(genome, views), strict=True)
            else:
                found |= dict.fromkeys(ends, 0.0)
        return found

    def _seen(self, genome: Genome) -> Views:
        """Describe a design as kits do."""
        return transfer_models().problem_views(self._problem, [genome])

    def prepare(self, report: Report) -> None:
        """Do once what every evaluation needs."""
        self._problem.prepare(report)
        self._note()

    def _note(self) -> None:
        self.notes = [*self._problem.notes, *(f"device {profile}" for profile in self.profiles)]

    def describe(self) -> dict[str, Any]:
        """Describe the problem as JSON, with what its author added."""
        return {**self._problem.describe(), **super().describe()}

    def check_worker(self) -> None:
        """Check that a worker has what an evaluation needs."""
        self._problem.check_worker()

    def canonical(self, genome: Genome) -> Mapping[str, Value]:
        """Map equal designs to one genome."""
        return self._problem.canonical(genome)

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """Say what a metric depends on."""
        own = {m.name for m in (*self._problem.metrics, *self._problem.final_metrics)}
        if metric in own - set(self._timed.values()):
            return self._problem.memory_key(metric, genome)
        return super().memory_key(metric, genome)

    def features(self, genomes: Sequence[Genome]) -> FloatArray | Mapping[str, FloatArray] | None:
        """Describe genomes to a surrogate."""
        return self._problem.features(genomes)

    def views(self, genomes: Sequence[Genome]) -> Mapping[str, FloatArray]:
        """Describe genomes in several ways."""
        return self._problem.views(genomes)

    def final(self, genome: Genome) -> Mapping[str, float]:
        """Measure ``final_metrics`` of a member of the final front."""
        return self._problem.final(genome)

    def export(self, genome: Genome, directory: Path) -> None:
        """Write a design's model files."""
        self._problem.export(genome, directory)

    @property
    def exports_models(self) -> bool:
        """Whether :meth:`export` writes something."""
        return self._problem.exports_models


def _check(
    problem: Problem, profile: Profile, reference: str, options: Mapping[str, object]
) -> None:
    timed = list(problem.timed_models.values())
    for name in timed:
        if timed.count(name) > 1:
            raise ConfigError(
                f"metric '{name}' is the time of several models, and each is predicted by itself "
                "on a fitted device; give each model a metric of its own"
            )
        if (unit := problem.metric(name).unit) != "ms":
            raise ConfigError(
                f"metric '{name}' has the unit '{unit}', and times on a fitted device are "
                "predicted in ms; give the metric the unit 'ms'"
            )
    fitted = [plugins.class_name(profile.problem), profile.space, profile.options]
    given = [plugins.class_name(reference), problem.space.describe(), dict(options)]
    # Options from Python, such as paths, are compared as the texts that the command line gives.
    same = fitted == json.loads(json.dumps(given, default=str))
    if not same or set(problem.timed_models) - set(profile.kinds):
        raise profile.wrong_problem("models")
