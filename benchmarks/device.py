"""How well a probe kit makes new devices known, on designs that no probe has seen.

A kit of the problem ``digits`` is made on this machine, which is the proxy on one thread. Targets
are this machine on one and on two threads, where the kit's ``measure.py`` runs for real in the
Python interpreter that is given, and the two devices of :mod:`benchmarks.simulated`. Each is fitted
from the probes, then predicts designs that are not in the kit, which are measured there too.

Columns are those of :mod:`benchmarks.transfer`, and ``claimed_error``: what the fit says of
itself; ``trusted``: its verdict; ``deserved``: what the verdict would be if the held-out designs
were known; ``noise``: the median relative standard error of the held-out measurements, in %;
``cheap_error``: the mean absolute error of designs that take less than a tenth of the median, in %
of the median. Their own percentage errors, which ``error`` leaves out, say little: what is a
hundred times too long may still be nothing beside the other designs. The simple methods are given
what the held-out designs take on the proxy; EvoNAS works it out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import results
from benchmarks.simulated import DEVICES
from benchmarks.transfer import WORTH, ridge, score
from evonas import references
from evonas.devices.transfer import Intervals
from evonas.errors import ConfigError, WorkError
from evonas.runners.kit import fit as profiles
from evonas.runners.kit import make as kits
from evonas.runners.kit.formats import Measured, Result, read_result
from evonas.space import FloatArray
from evonas.surrogates.transfer import Trust
from evonas.surrogates.transfer.monotonicity import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = "digits"
OPTIONS = {"device": "this-machine", "server": "this-machine"}
THREADS = (1, 2)

LIST_PACKAGES = """
import json, platform
from importlib import metadata
found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}))
"""


@dataclass(frozen=True)
class Found:
    """What was predicted for a target's models of one kind.

    Args:
        rows: Scores of every method, as in the table.
        truth: Measured times in ms, shape (designs,).
        predicted: Costs that EvoNAS predicts.
    """

    rows: list[dict[str, Any]]
    truth: FloatArray
    predicted: Intervals


def run(
    python: str,
    *,
    probes: int = 10,
    held_out: int = 50,
    proxy_designs: int = 200,
    seconds_per_model: float = 1.0,
    seed: int = 0,
    report: Callable[[str], None] = print,
) -> list[results.Result]:
    """Make devices known from a kit, and compare with what they take for other designs.

    Args:
        python: The interpreter that measures, with numpy and onnxruntime.
        probes: Designs in the kit.
        held_out: Designs that the fit is compared on.
        proxy_designs: Designs that the proxy has measured.
        seconds_per_model: Seconds that ``measure.py`` measures a model.
        seed: Seed of the designs and of the simulated devices' noise.
        report: Told what is going on.

    Returns:
        A row for each target, kind of model and method.

    Raises:
        ConfigError: The interpreter does not run.
        WorkError: It cannot measure the kit.
    """
    interpreter = look_at(python)
    report(f"measuring with Python {interpreter['python']} and {interpreter['packages']}")
    problem = references.load_problem(PROBLEM, OPTIONS)
    problem.prepare(report)
    count = proxy_designs + held_out
    drawn = kits.sample_designs(problem, count, np.random.default_rng(seed))
    known = kits.survey(problem, drawn, report)
    # The first designs are the ends of all genes; a proxy has them.
    size = len(known.designs) - held_out
    proxy, others = known.take(range(size)), known.take(range(size, size + held_out))
    chosen = kits.choose(proxy, probes, seed)
    targets = {}
    with TemporaryDirectory() as folder:
        # One kit, so that one run of measure.py times probes and held-out designs alike. Its
        # reference is a probe, as it would be without the others.
        kit = Path(folder) / "kit"
        kit.mkdir()
        both = [*chosen, *range(size, size + held_out)]
        kind = next(iter(problem.timed_models))
        kits.write(
            problem,
            PROBLEM,
            OPTIONS,
            kit,
            known,
            both,
            reference_model=(kits.middle(proxy, kind, chosen), kind),
            report=report,
        )
        for threads in THREADS:
            report(f"measuring with --threads {threads}")
            targets[f"threads_{threads}"] = measure(python, kit, threads, seconds_per_model)
        rng = np.random.default_rng(seed)
        targets |= {name: simulate(name, kit, rng) for name in DEVICES}
    found = {name: compare(name, *part(result, size), others) for name, result in targets.items()}
    table = pd.DataFrame(
        [row for kinds in found.values() for one in kinds.values() for row in one.rows]
    )
    return [results.Result("device", table, draw(found))]


def look_at(python: str) -> dict[str, Any]:
    """Say which Python an interpreter is, and which packages it has.

    Raises:
        ConfigError: It is none.
    """
    try:
        done = subprocess.run([python, "-I", "-c", LIST_PACKAGES], capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError):
        raise ConfigError(
            f"--python '{python}' is not a Python interpreter of version 3.8 or later"
        ) from None
    return found


def measure(python: str, kit: Path, threads: int, seconds: float) -> Result:
    """Run a kit's ``measure.py``.

    Raises:
        WorkError: It fails; the message says why.
    """
    path = kit / f"{threads}.json"
    command = [python, "-I", str(kit / "measure.py"), "--threads", str(threads)]
    command += ["--out", str(path), "--seconds-per-model", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise WorkError(f"measure.py failed in '{python}': {' '.join(last)}")
    return read_result(path)


def simulate(device: str, kit: Path, rng: np.random.Generator) -> Result:
    """Write what ``measure.py`` would write on a simulated device, and read it."""
    content = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
    models = [
        {
            **{key: model[key] for key in ("name", "kind", "design")},
            **DEVICES[device].measure(kit / model["file"], rng),
        }
        for model in content["models"]
    ]
    result = {
        "format": content["format"],
        "kit": content["kit"],
        "complete": True,
        "threads": 1,
        "host": {"processor": f"simulated, {device}"},
        "reference_ms": 1.0,
        "models": models,
        "made_from": content,
    }
    path = kit / f"{device}.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    return read_result(path)


def part(result: Result, size: int) -> tuple[Result, list[Measured]]:
    """Take a result apart: what it would be for the first designs alone, and all else.

    Args:
        result: The measurements of probes and held-out designs.
        size: Number of designs that the proxy has measured.
    """
    kit = result.made_from
    smaller = kit.model_copy(
        update={
            "designs": kit.designs[:size],
            "proxy_ms": {kind: ms[:size] for kind, ms in kit.proxy_ms.items()},
            "views": {name: view[:size] for name, view in kit.views.items()},
        }
    )
    probes = [model for model in result.models if model.design < size]
    held = [
        model.model_copy(update={"design": model.design - size})
        for model in result.models
        if model.design >= size
    ]
    return result.model_copy(update={"models": probes, "made_from": smaller}), held


def compare(
    target: str, probes: Result, held_out: Sequence[Measured], others: kits.Survey
) -> dict[str, Found]:
    """Fit a target from its probes, and score what every method says of the held-out designs."""
    fitted = profiles.fit(target, [probes])
    kit = probes.made_from
    found = {}
    for kind in kit.kinds:
        models = [model for model in held_out if model.kind == kind]
        held = others.take([model.design for model in models])
        truth = np.array([model.ms for model in models])
        predicted = fitted.predictor(kind).predict(held.views)
        inside = (predicted.lower <= truth) & (truth <= predicted.upper)
        scored = _score(predicted.mean, truth, inside)
        cost = fitted.kinds[kind]
        count = len(cost.probes)
        row = {"target": target, "kind": kind, "probes": count, "designs": len(truth)}
        own = {
            "claimed_error": 100 * cost.error,
            "trusted": cost.trusted,
            "deserved": Trust(scored["error"] / 100, scored["spearman"]).good,
            "noise": 100 * float(np.median([model.uncertainty for model in models])),
        }
        rows = [{**row, "method": "evonas", **scored, **own}]
        measured = [model for model in probes.models if model.kind == kind]
        rows += [
            {**row, "method": name, **_score(simple, truth, None)}
            for name, simple in simple_predictions(
                kit.views_of([model.design for model in measured])[kind],
                np.array(kit.proxy_ms[kind])[[model.design for model in measured]],
                np.array([model.ms for model in measured]),
                held.views[kind],
                held.costs[kind],
            )
        ]
        found[kind] = Found(rows, truth, predicted)
    return found


def _score(
    predicted: FloatArray, costs: FloatArray, inside: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Score predictions, those of cheap designs apart; see the module."""
    median = float(np.median(costs))
    errors = np.abs(predicted - costs)[costs < WORTH * median]
    cheap = 100 * float(errors.mean()) / median if len(errors) else None
    return {**score(predicted, costs, inside), "cheap_error": cheap}


def simple_predictions(
    counts: FloatArray, proxy: FloatArray, costs: FloatArray, others: FloatArray, there: FloatArray
) -> Iterator[tuple[str, FloatArray]]:
    """What simple methods predict: name and ms.

    Args:
        counts: What the probes' layers do, shape (probes, columns).
        proxy: Their ms on the proxy, shape (probes,).
        costs: Their ms on the target.
        others: What the held-out designs' layers do, shape (designs, columns).
        there: Their ms on the proxy, shape (designs,).
    """
    yield "proxy_scaled", there * np.median(costs / proxy)
    yield "proxy_isotonic", Calibration(proxy, costs)(there)
    yield "ridge_counts", ridge(counts, costs, others)


def draw(found: Mapping[str, Mapping[str, Found]]) -> Figure:
    """Draw predicted against measured times, one panel a target and kind of model."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    kinds = list(next(iter(found.values())))
    figure, panels = results.panels(len(found) * len(kinds), len(found), size=(3.4, 3.3))
    order = [(target, kind) for kind in kinds for target in found]
    for axes, (target, kind) in zip(panels, order, strict=True):
        one = found[target][kind]
        mean, row = one.predicted.mean, one.rows[0]
        ends = np.array([mean - one.predicted.lower, one.predicted.upper - mean])
        axes.errorbar(one.truth, mean, ends, fmt="o", ms=3, lw=0.7)
        limits = 0.7 * min(one.truth.min(), mean.min()), 1.4 * max(one.truth.max(), mean.max())
        axes.plot(limits, limits, lw=1)
        axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
        axes.set(title=f"{target}, {kind}s", xlabel="measured [ms]", ylabel="predicted [ms]")
        few = (1.0,) if limits[1] > 100 * limits[0] else (1.0, 2.0, 5.0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=few))
            axis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_minor_formatter(NullFormatter())
        verdict = "trusted" if row["trusted"] else "not trusted"
        text = f"Spearman {row['spearman']:.3f}\nerror {row['error']:.1f} %\n{verdict}"
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8)
    figure.suptitle(f"Designs that no probe has seen, {row['probes']} probes, 90 % intervals")
    return figure
