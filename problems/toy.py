"""Analytic problems with known fronts, for tests and for a quick first run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evonas import Choice, Constraint, Integer, Metric, Objective, Problem, Real, Space
from evonas.space import Genome


class Blocks(Problem):
    """A small space with every kind of discrete gene, and conditions.

    It stands for a network of 1 to 4 layers, of which the third and the fourth may have a kernel
    size of their own. It has 396 different designs, and listing them gives the true front.
    """

    space = Space(
        Integer("layers", 1, 4),
        Integer("width", 1, 12),
        Choice("kernel", [3, 5, 7]),
        Choice("late_kernel", [3, 5, 7], when={"layers": (3, 4)}),
        Choice("pooling", ["average", "maximum"], when={"layers": (4,)}),
    )
    metrics = (Metric("error", "%"), Metric("operations", genes=["layers", "width", "kernel"]))
    objectives = (Objective("error"), Objective("operations"))

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Evaluate a smooth cost with one interaction between the genes."""
        layers, width, kernel = (float(genome[g]) for g in ("layers", "width", "kernel"))
        late = float(genome.get("late_kernel", 3))
        bonus = 1.1 if genome.get("pooling") == "maximum" else 1.0
        capacity = layers**0.5 * width * bonus * math.log(kernel) * math.log(1 + late)
        return {
            "error": 60.0 / (1.0 + capacity) + 0.3 * abs(kernel - late),
            "operations": layers * width * kernel**2,
        }


class ZDT1(Problem):
    """ZDT1 (Zitzler, Deb and Thiele 2000) with 10 variables; its front is f2 = 1 - sqrt(f1)."""

    VARIABLES = 10
    space = Space(*(Real(f"x{i}", 0.0, 1.0) for i in range(VARIABLES)))
    metrics = (Metric("f1", genes=["x0"]), Metric("f2"))
    objectives = (Objective("f1", reference=1.1), Objective("f2", reference=1.1))

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Evaluate eq. 7 of the paper."""
        x = [float(genome[name]) for name in self.space.names]
        g = 1.0 + 9.0 * sum(x[1:]) / (len(x) - 1)
        return {"f1": x[0], "f2": g * (1.0 - math.sqrt(x[0] / g))}


class BinhKorn(Problem):
    """The constrained problem of Binh and Korn (1997).

    On the front, x = y for x up to 3, and y = 3 from there to x = 5.
    """

    space = Space(Real("x", 0.0, 5.0), Real("y", 0.0, 3.0))
    metrics = (Metric("f1"), Metric("f2"), Metric("g1"), Metric("g2"))
    objectives = (Objective("f1", reference=140.0), Objective("f2", reference=50.0))
    constraints = (Constraint("g1", upper=25.0), Constraint("g2", lower=7.7))

    def evaluate(self, genome: Genome, metrics: Sequence[str]) -> Mapping[str, float]:
        """Evaluate the objectives and the left-hand sides of the constraints."""
        x, y = float(genome["x"]), float(genome["y"])
        return {
            "f1": 4 * x**2 + 4 * y**2,
            "f2": (x - 5) ** 2 + (y - 5) ** 2,
            "g1": (x - 5) ** 2 + y**2,
            "g2": (x - 8) ** 2 + (y + 3) ** 2,
        }
