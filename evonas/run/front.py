"""The front of a run: the non-dominated feasible evaluations, as a table and as files.

Files are canonical: the same front gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.errors import RunError, UsageError, did_you_mean
from evonas.pareto import FrontTracker, non_dominated
from evonas.problem import Objective, objective_costs
from evonas.records import Evaluation, Status
from evonas.run.journal import Journal
from evonas.space import FloatArray, Value

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "json", "parquet", "png")


@dataclass(frozen=True)
class Design:
    """A member of a front: its candidate's id, its active genes, and its metrics."""

    id: int
    genes: Mapping[str, Value]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Front:
    """The best trade-offs of a run.

    Args:
        description: Description of the problem, see :meth:`evonas.Problem.describe`.
        designs: Members, from best to worst in the first objective, then in the others.
    """

    description: Mapping[str, Any]
    designs: Sequence[Design]

    @classmethod
    def from_journal(cls, journal: Journal) -> Front:
        """Compute the front of everything that a journal holds."""
        return cls.from_evaluations(journal.meta()["description"], journal.evaluations())

    @classmethod
    def from_evaluations(
        cls, description: Mapping[str, Any], evaluations: Iterable[Evaluation]
    ) -> Front:
        """Compute the front of evaluations; only those with status ``ok`` can be on it."""
        feasible = [e for e in evaluations if e.status is Status.OK]
        members = [feasible[i] for i in non_dominated(cost_array(description, feasible))]
        costs = cost_array(description, members)
        order = sorted(range(len(members)), key=lambda i: (*costs[i], members[i].candidate.id))
        designs = [
            Design(members[i].candidate.id, members[i].candidate.genome, members[i].values)
            for i in order
        ]
        return cls(description, designs)

    def __len__(self) -> int:
        return len(self.designs)

    @property
    def genes(self) -> list[str]:
        """Gene names, in the order of the space."""
        return [gene["name"] for gene in self.description["space"]]

    @property
    def metrics(self) -> list[str]:
        """Metric names, objectives first."""
        objectives = [o["metric"] for o in self.description["objectives"]]
        names = [metric["name"] for metric in self.description["metrics"]]
        return objectives + [name for name in names if name not in objectives]

    @property
    def units(self) -> dict[str, str]:
        """Metric name -> unit."""
        return {metric["name"]: metric["unit"] for metric in self.description["metrics"]}

    def to_frame(self) -> pd.DataFrame:
        """Return the front as a table: ``id``, metrics (objectives first), genes.

        Inactive genes and metrics that were not measured are missing values. The units are in
        ``frame.attrs["units"]``.
        """
        import pandas as pd

        rows = [{"id": d.id, **d.metrics, **d.genes} for d in self.designs]
        frame = pd.DataFrame(rows, columns=["id", *self.metrics, *self.genes])
        genes = {gene["name"]: gene for gene in self.description["space"]}
        for name in self.metrics:
            frame[name] = frame[name].astype("float64")
        for name, gene in genes.items():
            if gene["kind"] == "integer":
                frame[name] = frame[name].astype("Int64")
            elif len({_kind(option) for option in gene.get("options", ())}) > 1:
                # A column has one type: options of several kinds are written as text.
                frame[name] = frame[name].map(str, na_action="ignore").astype("string")
            else:
                frame[name] = frame[name].convert_dtypes()
        frame.attrs = {"units": self.units}
        return frame

    def to_json(self) -> dict[str, Any]:
        """Return the front as JSON, with the description of the problem."""
        return {
            "description": self.description,
            "designs": [
                {"id": d.id, "genes": dict(d.genes), "metrics": dict(d.metrics)}
                for d in self.designs
            ],
        }

    @classmethod
    def read(cls, path: Path) -> Front:
        """Read a front from the JSON file that :meth:`write` made.

        Raises:
            RunError: The file is missing or is not such a file.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            designs = [Design(d["id"], d["genes"], d["metrics"]) for d in data["designs"]]
            return cls(data["description"], designs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"'{path}' is not a front.json ({type(error).__name__}: {error}); "
                "make it with 'evonas export'"
            ) from error

    def write(self, directory: Path, formats: Iterable[str] = ("csv", "json", "parquet")) -> None:
        """Write ``front.csv``, ``front.json`` or ``front.parquet``, each in one step.

        Parquet carries units as ``unit`` in the metadata of each column, CSV in a last column.

        Args:
            directory: Directory to write to.
            formats: Names of the formats.

        Raises:
            UsageError: A format is unknown.
        """
        writers = {"csv": self._write_csv, "json": self._write_json, "parquet": self._write_parquet}
        for name in formats:
            if name not in writers:
                raise UsageError(f"unknown format '{name}'{did_you_mean(name, FORMATS)}")
            path = directory / f"front.{name}"
            partial = path.with_name(path.name + ".partial")
            writers[name](partial)
            partial.replace(path)

    def _write_csv(self, path: Path) -> None:
        units = "; ".join(f"{name}: {unit}" for name, unit in self.units.items() if unit)
        self.to_frame().assign(units=units).to_csv(path, index=False)

    def _write_json(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")

    def _write_parquet(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        fields = [f.with_metadata({"unit": self.units.get(f.name, "")}) for f in table.schema]
        pq.write_table(table.cast(pa.schema(fields, table.schema.metadata)), path)


def say_designs(count: int) -> str:
    """Write a number of designs out, as ``1 design`` or ``2 designs``."""
    return f"{count} design{'s' * (count != 1)}"


def described_objectives(description: Mapping[str, Any]) -> list[Objective]:
    """Return the objectives that a problem's description holds."""
    return [Objective(o["metric"], o["goal"], o["reference"]) for o in description["objectives"]]


def cost_array(description: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> FloatArray:
    """Return the described objectives as costs; see :func:`evonas.problem.objective_costs`."""
    return objective_costs(described_objectives(description), evaluations)


def make_tracker(description: Mapping[str, Any], first: int) -> FrontTracker:
    """Make the tracker whose hypervolume a run reports.

    Args:
        description: Description of the problem, see :meth:`evonas.Problem.describe`.
        first: Number of designs in the first batch, from which the hypervolume's box is made.
    """
    references = [
        np.nan if o.reference is None else o.sign * o.reference
        for o in described_objectives(description)
    ]
    return FrontTracker(np.array(references), first)


def _kind(option: object) -> type:
    """The type that a column needs for an option; whole numbers and fractions share one."""
    return float if type(option) is int else type(option)
