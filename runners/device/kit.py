"""Make a probe kit: the models to measure on a new device, and what is known about them here.

The designs are measured on this machine first, which is the proxy: its times tell which of them
are worth measuring elsewhere, and carry over to the new device.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from evonas import plugins
from evonas.errors import DataError, InfeasibleError, ProblemError
from evonas.problem import Problem, Report
from evonas.space import FloatArray, Value, genome_key
from runners.device.formats import FORMAT, identify

SCRIPT = Path(__file__).with_name("measure.py")

TRIES = 50
"""Draws for each design that is wanted, in spaces of which many genomes are one design."""

REPORT_EVERY = 20


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
    """Write a kit.

    Args:
        problem: Prepared here.
        reference: How the problem is named on the command line.
        options: Of the problem.
        out: A folder that is not there yet, or empty.
        probes: Designs to measure on the new device.
        proxy_designs: Designs to measure here.
        seed: Of the designs.
        report: Receives progress.

    Returns:
        The content of ``kit.json``.

    Raises:
        UsageError: The problem has no timed models, the folder is not empty, or the space has
            too few designs.
    """
    if not problem.timed_models:
        raise ProblemError(
            f"problem '{reference}' does not say which metric is the time of which model; "
            "it must set 'timed_models'"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"'{out}' is there already and not an empty folder; name another --out")
    problem.prepare(report)
    rng = np.random.default_rng(seed)
    drawn = sample_designs(problem, proxy_designs, rng)
    designs, costs = measure_here(problem, drawn, report)
    views = plugins.load("evonas.transfer", "default").problem_views(problem, designs)
    chosen = choose(views, costs, probes, seed)

    out.mkdir(parents=True, exist_ok=True)
    models = [
        model
        for number, design in enumerate(chosen, 1)
        for model in _export(problem, designs[design], design, out, report, number)
    ]
    first = next(iter(problem.timed_models))
    middle = sorted(chosen, key=lambda design: costs[first][design])[len(chosen) // 2]
    content: dict[str, Any] = {
        "format": FORMAT,
        "problem": reference,
        "options": dict(options),
        "space": problem.space.describe(),
        "kinds": dict(problem.timed_models),
        "reference": f"{middle}-{first}",
        "models": models,
        "designs": designs,
        "proxy_ms": {kind: ms.tolist() for kind, ms in costs.items()},
        "views": {name: view.tolist() for name, view in views.items()},
    }
    content = json.loads(json.dumps(content))  # As it will be read.
    content["kit"] = identify(content)
    shutil.copy(SCRIPT, out)
    (out / "kit.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def sample_designs(
    problem: Problem, count: int, rng: np.random.Generator
) -> list[dict[str, Value]]:
    """Draw distinct designs in canonical form, the ends of all genes among them."""
    space = problem.space
    found: dict[str, dict[str, Value]] = {}
    codes = [space.lower, space.upper, *space.sample(TRIES * count, rng)]
    for code in codes:
        genome = dict(problem.canonical(space.decode(code)))
        found.setdefault(genome_key(genome), genome)
        if len(found) == count:
            break
    return list(found.values())


def measure_here(
    problem: Problem, designs: Sequence[dict[str, Value]], report: Report
) -> tuple[list[dict[str, Value]], dict[str, FloatArray]]:
    """Measure the models' times on this machine.

    Returns:
        The designs that are feasible; kind of model -> ms, shape (designs,).
    """
    metrics = list(problem.timed_models.values())
    kept, rows = [], []
    for number, genome in enumerate(designs, 1):
        try:
            found = problem.evaluate(genome, metrics)
        except InfeasibleError:
            continue
        kept.append(genome)
        rows.append([max(0.0, float(found[metric])) for metric in metrics])
        if number % REPORT_EVERY == 0 or number == len(designs):
            report(f"{number} of {len(designs)} designs are measured on this machine.")
    table = np.array(rows).reshape(len(rows), len(metrics))
    return kept, dict(zip(problem.timed_models, table.T, strict=True))


def choose(
    views: Mapping[str, FloatArray], costs: Mapping[str, FloatArray], count: int, seed: int
) -> list[int]:
    """Choose the designs to measure on a new device, the same number for each kind of model.

    Raises:
        DataError: Fewer designs have models of all kinds.
    """
    transfer = plugins.load("evonas.transfer", "default").Transfer
    usable = np.flatnonzero((np.column_stack(list(costs.values())) > 0).all(axis=1))
    if len(usable) < count:
        raise DataError(
            f"{count} designs are asked for, but {len(usable)} of those drawn have models of all "
            "kinds; ask for fewer, or for more --proxy-designs"
        )
    rows = {name: view[usable] for name, view in views.items()}
    chosen: list[int] = []
    for number, ms in enumerate(costs.values(), 1):
        share = count * number // len(costs) - len(chosen)
        if share:
            fitted = transfer(rows, ms[usable, None], seed=seed)
            chosen += fitted.choose_probes(share, chosen)
    return [int(usable[index]) for index in chosen]


def _export(
    problem: Problem,
    genome: dict[str, Value],
    design: int,
    out: Path,
    report: Report,
    number: int,
) -> list[dict[str, Any]]:
    """Write a design's models, and describe them."""
    models = []
    with TemporaryDirectory() as folder:
        problem.export(genome, Path(folder))
        for kind in problem.timed_models:
            source = Path(folder) / f"{kind}.onnx"
            if not source.is_file():
                raise ProblemError(f"the problem's export wrote no '{source.name}'")
            name = f"{design}-{kind}"
            shutil.copy(source, out / f"{name}.onnx")
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            models.append(
                {
                    "name": name,
                    "kind": kind,
                    "design": design,
                    "file": f"{name}.onnx",
                    "sha256": digest,
                }
            )
    report(f"Probe {number} is exported.")
    return models
