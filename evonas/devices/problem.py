"""Any problem on fitted devices: what its models take there is predicted, not measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evonas import plugins
from evonas.devices import store
from evonas.devices.profile import CostPredictor, Profile, energy_of, interval_names
from evonas.devices.transfer import transfer_models
from evonas.errors import ConfigError
from evonas.problem import Metric, Problem, Report
from evonas.space import FloatArray, Genome, Value


@dataclass(frozen=True)
class PredictedMetric:
    """A metric that is predicted for a device.

    Args:
        name: Name of the metric.
        model: Name of the model whose time or energy it is.
        predictor: Predictor of the cost.
    """

    name: str
    model: str
    predictor: CostPredictor


class DeviceProblem(Problem):
    """A problem of which some timed models run on fitted devices.

    The metrics that are times of these models are predicted in ms, or as they were measured there
    if that is surer. So are their energies in mJ, if the problem names them and they were metered.
    The ends of each 90% interval stand beside the metric, as ``METRIC_lower`` and ``METRIC_upper``.
    All other metrics are the problem's own.

    Args:
        problem: The problem as its author made it, with ``timed_models``.
        profiles: Model -> profile of the device that it runs on, for one model or more.
        reference: Name of the problem on the command line.
        options: Options that the problem was made with.

    Raises:
        ConfigError: A device was fitted for another problem, space, or options, a timed metric is
            of several models, or a predicted metric has another unit than ms or mJ.
        DataError: An earlier version of EvoNAS fitted a device.
    """

    def __init__(
        self,
        problem: Problem,
        profiles: Mapping[str, Profile],
        reference: str,
        options: Mapping[str, object],
    ) -> None:
        self._problem, self._profiles = problem, dict(profiles)
        self._predicted = {}
        for model, profile in profiles.items():
            _check(problem, model, profile, reference, options)
            for metric, cost in _costs(problem, model, profile).items():
                predictor = CostPredictor(profile, cost)
                self._predicted[metric] = PredictedMetric(metric, model, predictor)
        self.metrics = [own for metric in problem.metrics for own in self._replaced(metric)]
        self.space, self.objectives = problem.space, problem.objectives
        self.constraints, self.designs = problem.constraints, problem.designs
        self.final_metrics = problem.final_metrics
        self.highlight = problem.highlight
        self._take_notes()

    @property
    def unwrapped(self) -> Problem:
        """The problem as its author made it."""
        return self._problem.unwrapped

    @property
    def profiles(self) -> list[Profile]:
        """Profiles of the devices, each once."""
        return list({profile.name: profile for profile in self._profiles.values()}.values())

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Measure the problem's own metrics, and predict the others."""
        predicted = {
            name: metric
            for metric in self._predicted.values()
            for name in interval_names(metric.name)
            if name in metrics
        }
        own = [name for name in metrics if name not in predicted]
        has = {m.model: self._problem.has_model(m.model, genome) for m in predicted.values()}
        timed = {m: self._problem.timed_models[m] for m, known in has.items() if known is None}
        wanted = list(dict.fromkeys([*own, *timed.values()]))
        measured = self._problem.evaluate(genome, wanted) if wanted else {}
        found = {name: measured[name] for name in own if name in measured}
        views = transfer_models().problem_views(self._problem, [genome]) if predicted else {}
        for metric in dict.fromkeys(predicted.values()):
            time = measured.get(timed.get(metric.model, ""), math.nan)
            costs = (time,) * 3  # A time that is no number fails, as it does without the device.
            if has[metric.model] or 0 < time < math.inf:
                costs = metric.predictor.predict(genome, views)
            elif has[metric.model] is False or time <= 0:
                costs = (0.0,) * 3
            found |= zip(interval_names(metric.name), costs, strict=True)
        return {name: found[name] for name in metrics if name in found}

    def derive(self, metric: str, parts: Mapping[str, FloatArray]) -> FloatArray:
        """Compute a metric that follows from others."""
        return self._problem.derive(metric, parts)

    def prepare(self, report: Report) -> None:
        """Do once what every evaluation needs."""
        self._problem.prepare(report)
        self._take_notes()

    def describe(self) -> dict[str, Any]:
        """Describe the problem as JSON, with what its author added, and the devices.

        ``"probes"`` counts the designs that were measured on each device: they are evaluations,
        too. ``"kits"`` says which kits each was fitted to.
        """
        return {
            **self._problem.describe(),
            **super().describe(),
            "probes": {profile.name: profile.probe_count for profile in self.profiles},
            "kits": {profile.name: profile.kits for profile in self.profiles},
        }

    def check_worker(self) -> None:
        """Check that a worker has what an evaluation needs."""
        self._problem.check_worker()

    def canonical(self, genome: Genome) -> Mapping[str, Value]:
        """Map equal designs to one genome."""
        return self._problem.canonical(genome)

    def memory_key(self, metric: str, genome: Genome) -> Mapping[str, Value]:
        """Say what a metric depends on."""
        own = {m.name for m in (*self._problem.metrics, *self._problem.final_metrics)}
        if metric in own - set(self._predicted):
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

    def _replaced(self, metric: Metric) -> list[Metric]:
        """Put the prediction and the ends of its interval in a metric's place, if there are any."""
        if metric.name not in self._predicted:
            return [metric]
        time = self._problem.timed_models[self._predicted[metric.name].model]
        # Without has_model, the time is measured here to know whether there is a model.
        measured = type(self._problem).has_model is Problem.has_model
        expensive = measured and self._problem.metric(time).expensive
        # It follows the whole design, whatever the problem's own times depend on.
        predicted = replace(metric, genes=None, derived_from=(), expensive=expensive)
        ends = interval_names(metric.name)[1:]
        return [predicted, *(Metric(end, metric.unit, expensive=expensive) for end in ends)]

    def _take_notes(self) -> None:
        devices = []
        for profile in self.profiles:
            models = [m for m, device in self._profiles.items() if device.name == profile.name]
            devices.append(f"{' and '.join(models)} on device {profile}")
        self.notes = [*self._problem.notes, *devices]


def keep_profiles(problem: Problem, folder: Path) -> None:
    """Write the profiles of the devices that a problem runs on, if there are any.

    Raises:
        DataError: The folder cannot be written to.
    """
    for profile in problem.profiles if isinstance(problem, DeviceProblem) else ():
        store.save(profile, folder)


def _costs(problem: Problem, model: str, profile: Profile) -> dict[str, str]:
    """Metrics that a profile predicts for a model -> costs of the profile."""
    costs = {problem.timed_models[model]: model}
    if model in problem.model_energies and energy_of(model) in profile.kinds:
        costs[problem.model_energies[model]] = energy_of(model)
    return costs


def _check(
    problem: Problem,
    model: str,
    profile: Profile,
    reference: str,
    options: Mapping[str, object],
) -> None:
    """Check that a device was fitted for a model of the problem."""
    timed = list(problem.timed_models.values())
    if timed.count(name := problem.timed_models[model]) > 1:
        raise ConfigError(
            f"metric '{name}' is the time of several models, and each is predicted by itself "
            "on a fitted device; give each model a metric of its own"
        )
    for metric, cost in _costs(problem, model, profile).items():
        unit = "ms" if cost == model else "mJ"
        if (own := problem.metric(metric).unit) != unit:
            raise ConfigError(
                f"metric '{metric}' has the unit '{own}', and is predicted in {unit} on a fitted "
                f"device; give the metric the unit '{unit}'"
            )
    class_name = plugins.class_name
    fitted = [class_name(profile.problem), profile.space, _models_by(problem, profile.options)]
    given = [class_name(reference), problem.space.describe(), _models_by(problem, options)]
    # Options from Python, such as paths, are compared as the texts that the command line gives.
    same = _as_json(fitted) == _as_json(given)
    if not same or model not in profile.kinds:
        raise ConfigError(
            f"device '{profile.name}' was fitted for other models: problem '{profile.problem}' "
            f"with the options {profile.options}; make a kit of these with 'evonas device probe', "
            "or search with those options"
        )


def _models_by(problem: Problem, options: Mapping[str, object]) -> dict[str, object]:
    """Pick the options that decide what the models are."""
    given = plugins.option_defaults(type(problem)) | dict(options)
    if problem.model_options is not None:
        return {name: given[name] for name in problem.model_options}
    machines = problem.runs_on.values()
    return {name: value for name, value in given.items() if name not in machines}


def _as_json(content: object) -> object:
    return json.loads(json.dumps(content, default=str))
