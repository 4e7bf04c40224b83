"""Make a probe kit: the models to measure on a new device, and what is known about them here.

The designs are measured on this machine first, which is the proxy: by its times, the most
informative designs are chosen, and the new device is predicted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evonas.devices.problem import DeviceProblem
from evonas.devices.transfer import transfer_models
from evonas.errors import DataError, EvonasError, ProblemError, WorkError
from evonas.evaluation import describe_exception, evaluate
from evonas.optimizers.catalogue import Catalogue
from evonas.problem import Problem, Report
from evonas.records import Candidate, Status, Task
from evonas.run.models import is_full_disk
from evonas.runners.common import use_one_thread
from evonas.runners.kit.formats import FORMAT, identify
from evonas.runners.kit.measure import processor
from evonas.space import FloatArray, Value

SCRIPT = Path(__file__).with_name("measure.py")

TRIES = 50
"""Draws for each design that is wanted, in spaces of which many genomes are one design."""

REPORT_EVERY = 20


@dataclass(frozen=True)
class Survey:
    """Designs that were measured on the machine that makes a kit.

    Args:
        designs: Genomes in canonical form.
        costs: Kind of model -> ms on this machine, shape (designs,); 0 where there is no model.
        views: Name of a feature view -> features, shape (designs, columns).
        made_on: Processor of that machine.
    """

    designs: list[dict[str, Value]]
    costs: dict[str, FloatArray]
    views: Mapping[str, FloatArray]
    made_on: str = field(default_factory=processor)

    @property
    def usable(self) -> NDArray[np.int64]:
        """Rows of the designs that have models of all kinds."""
        return np.flatnonzero((np.column_stack(list(self.costs.values())) > 0).all(axis=1))

    def take(self, rows: Sequence[int]) -> Survey:
        """Take some of the designs."""
        return Survey(
            [self.designs[row] for row in rows],
            {kind: ms[rows] for kind, ms in self.costs.items()},
            {name: view[rows] for name, view in self.views.items()},
            self.made_on,
        )


def make(
    problem: Problem,
    reference: str,
    options: Mapping[str, object],
    out: Path,
    *,
    probes: int = 10,
    proxy_designs: int = 200,
    seed: int = 0,
    report: Report = print,
) -> dict[str, Any]:
    """Write a kit of the designs that are most informative about a new device.

    Args:
        problem: The problem; this function prepares it.
        reference: Name of the problem on the command line.
        options: Options of the problem.
        out: Folder of the kit, which is not there yet, or empty.
        probes: Number of designs to measure on the new device.
        proxy_designs: Number of designs to measure on this machine.
        seed: Seed of the random number generator.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.

    Raises:
        UsageError: The problem has no timed models, the folder is not empty, or the space has
            too few designs.
    """
    check(problem, reference, out)
    problem.prepare(report)
    drawn = sample_designs(problem, proxy_designs, np.random.default_rng(seed))
    known = survey(problem, drawn, report)
    chosen = choose(known, probes, seed)
    report_fewer(report, len(chosen), probes)
    return write(problem, reference, options, out, known, chosen, report=report)


def check(problem: Problem, reference: str, out: Path) -> None:
    """Check that a kit can be made.

    Raises:
        UsageError: The problem has no timed models, or the folder is not empty or cannot be made.
    """
    if isinstance(problem, DeviceProblem):
        names = " and ".join(profile.name for profile in problem.profiles)
        raise ProblemError(
            f"problem '{reference}' predicts its times for {names}, and a kit needs times that "
            "are measured; leave that device out"
        )
    if not problem.timed_models:
        raise ProblemError(
            f"problem '{reference}' does not say which metric is the time of which model; "
            "it must set 'timed_models'"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"'{out}' is there already and not an empty folder; name another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out '{out}' cannot be made: {error.strerror}") from None


def write(
    problem: Problem,
    reference: str,
    options: Mapping[str, object],
    out: Path,
    known: Survey,
    chosen: Sequence[int],
    *,
    labels: Sequence[str] = (),
    reference_model: tuple[int, str] | None = None,
    report: Report = print,
) -> dict[str, Any]:
    """Write a kit of chosen designs.

    Args:
        problem: The prepared problem.
        reference: Name of the problem on the command line.
        options: Options of the problem.
        out: Folder of the kit.
        known: Designs that were measured on this machine.
        chosen: Rows of the designs to measure on the device.
        labels: Names of the chosen designs in files and tables; left out, their rows.
        reference_model: Row and kind of the model that all others are measured against, which must
            be among the chosen; left out, the chosen model of the first kind with the median time.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.
    """
    models = []
    for number, row in enumerate(chosen):
        label = labels[number] if labels else str(row)
        models += _export(problem, known, row, label, out)
        _report(report, number + 1, len(chosen), "exported")
    if reference_model is None:
        kind = models[0]["kind"]
        alike = [model["design"] for model in models if model["kind"] == kind]
        reference_model = middle(known, kind, alike), kind
    against = next(m for m in models if (m["design"], m["kind"]) == reference_model)
    content: dict[str, Any] = {
        "format": FORMAT,
        "problem": reference,
        "options": dict(options),
        "space": problem.space.describe(),
        "kinds": dict(problem.timed_models),
        "made_on": known.made_on,
        "reference": against["name"],
        "models": models,
        "designs": known.designs,
        "proxy_ms": {kind: ms.tolist() for kind, ms in known.costs.items()},
        "views": {name: view.tolist() for name, view in known.views.items()},
    }
    content = json.loads(json.dumps(content))  # As it will be read.
    content["kit"] = identify(content)
    shutil.copy(SCRIPT, out)
    (out / "kit.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def middle(known: Survey, kind: str, rows: Sequence[int]) -> int:
    """Row of the design whose model of a kind has the median time, among some rows."""
    return sorted(rows, key=lambda row: float(known.costs[kind][row]))[len(rows) // 2]


def sample_designs(
    problem: Problem, count: int, rng: np.random.Generator
) -> list[dict[str, Value]]:
    """Draw distinct designs in canonical form, the ends of all genes among them."""
    space, catalogue = problem.space, Catalogue(problem)
    found: dict[str, dict[str, Value]] = {}
    for code in (space.lower, space.upper, *space.sample(TRIES * count, rng)):
        if len(found) == count:
            break
        if design := catalogue.unseen(code, found):
            found[design[0]] = dict(design[1])
    return list(found.values())


def survey(problem: Problem, designs: Sequence[dict[str, Value]], report: Report) -> Survey:
    """Measure and describe designs on this machine; those that have no values are left out.

    Raises:
        WorkError: All failed.
    """
    use_one_thread()  # as measure.py does by default
    metrics = tuple(dict.fromkeys(problem.timed_models.values()))
    kept, rows, failures = [], [], []
    for number, genome in enumerate(designs):
        found = evaluate(problem, Task(Candidate(number, genome, 0), metrics))
        if found.status is Status.OK:
            kept.append(genome)
            times = [found.values[metric] for metric in problem.timed_models.values()]
            rows.append(np.maximum(times, 0.0))
        elif found.status is Status.FAILED:
            failures.append(found.error)
        _report(report, number + 1, len(designs), "measured on this machine")
    if failures:
        lost = f"{len(failures)} of {len(designs)} designs failed, the first: {failures[0]}"
        if not kept:
            raise WorkError(lost)
        report(f"{lost}; they are left out.")
    table = np.array(rows).reshape(len(rows), len(problem.timed_models))
    costs = dict(zip(problem.timed_models, table.T, strict=True))
    views = transfer_models().problem_views(problem, kept)
    return Survey(kept, costs, views)


def _report(report: Report, number: int, total: int, done: str) -> None:
    if number % REPORT_EVERY == 0 or number == total:
        report(f"{number} of {total} designs are {done}.")


def choose(known: Survey, count: int, seed: int = 0, *, measured: Sequence[int] = ()) -> list[int]:
    """Choose the designs to measure on a new device, the same number for each kind of model.

    Args:
        known: Designs that were measured on this machine.
        count: Number of designs to choose.
        seed: Seed of the random number generator.
        measured: Rows of designs that were measured on the device before.

    Returns:
        Rows of designs; fewer where the others take next to no time here.

    Raises:
        DataError: Fewer designs have models of all kinds.
    """
    usable = known.usable
    if len(usable) < count:
        raise DataError(
            f"{count} designs are asked for, but {len(usable)} of those drawn have models of all "
            "kinds; ask for fewer, or for more --proxy-designs"
        )
    some = known.take(usable.tolist())
    before = np.flatnonzero(np.isin(usable, measured)).tolist()
    chosen: list[int] = []
    for number, ms in enumerate(some.costs.values(), 1):
        share = count * number // len(some.costs) - len(chosen)
        if share:
            transfer = transfer_models().make_transfer(some.views, ms[:, None], seed=seed)
            chosen += transfer.choose_probes(share, [*before, *chosen])
    return [int(usable[index]) for index in chosen]


def report_fewer(report: Report, chosen: int, asked: int) -> None:
    """Say so if fewer designs are chosen than were asked for."""
    if chosen < asked:
        report(
            f"{chosen} designs are chosen, not {asked}: the others take next to no time here, "
            "and say nothing about a device."
        )


def _export(
    problem: Problem, known: Survey, row: int, label: str, out: Path
) -> list[dict[str, Any]]:
    """Write a design's models, and describe them."""
    models = []
    with TemporaryDirectory() as folder:
        try:
            problem.export(known.designs[row], Path(folder))
        except EvonasError:
            raise
        except Exception as error:
            if is_full_disk(error):
                raise
            raise WorkError(
                f"the models of design {known.designs[row]} cannot be exported: "
                f"{describe_exception(error)}"
            ) from error
        for kind, ms in known.costs.items():
            if not ms[row]:
                continue
            source = Path(folder) / f"{kind}.onnx"
            if not source.is_file():
                raise ProblemError(f"the problem's export wrote no '{source.name}'")
            name = f"{label}-{kind}"
            shutil.copy(source, out / f"{name}.onnx")
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            models.append(
                {
                    "name": name,
                    "kind": kind,
                    "design": row,
                    "file": f"{name}.onnx",
                    "sha256": digest,
                }
            )
    return models
